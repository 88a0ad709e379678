//! Frames of YUV, grey and RGB into planes.
//!
//! Called by [`Planes::take`] with layers whose bytes are there. Sides may be odd; then the encoder reads
//! one more column and row, and they repeat the last.

use turbojpeg::Subsamp;
use yuv::{
    BufferStoreMut, YuvConversionMode, YuvError, YuvPackedImage, YuvPlanarImageMut, YuvRange,
    YuvStandardMatrix,
};

use super::{EncodeError, Planes};
use crate::frame::Layer;

/// Rows of a packed format, one behind the other: bytes from row to row, pixels and rows.
pub(super) struct Packed<'a> {
    pub(super) data: &'a [u8],
    pub(super) stride: u32,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// A conversion of packed 4:2:2 by `yuv`.
pub(super) fn by(
    convert: fn(&mut YuvPlanarImageMut<u8>, &YuvPackedImage<u8>) -> Result<(), YuvError>,
) -> impl Fn(&mut YuvPlanarImageMut<u8>, &Packed<'_>) -> Result<(), YuvError> {
    move |target, rows| {
        let &Packed { data: yuy, stride: yuy_stride, width, height } = rows;
        convert(target, &YuvPackedImage { yuy, yuy_stride, width, height })
    }
}

/// What `yuv`'s conversions from RGB and BGR look like.
type FromRgb = fn(
    &mut YuvPlanarImageMut<u8>,
    &[u8],
    u32,
    YuvRange,
    YuvStandardMatrix,
    YuvConversionMode,
) -> Result<(), YuvError>;

/// A conversion of RGB by `yuv`, as JFIF wants it: BT.601 in full range.
pub(super) fn rgb(
    convert: FromRgb,
) -> impl Fn(&mut YuvPlanarImageMut<u8>, &Packed<'_>) -> Result<(), YuvError> {
    move |target, rows| {
        let (range, matrix) = (YuvRange::Full, YuvStandardMatrix::Bt601);
        convert(target, rows.data, rows.stride, range, matrix, YuvConversionMode::Balanced)
    }
}

/// Packed pixels as 4:2:0, pairs of rows at once. What lacks the padding behind its last row, or the last
/// row's pair, goes through a copy of at most two rows.
pub(super) fn packed(
    planes: &mut Planes,
    layer: &Layer<'_>,
    size: (usize, usize),
    convert: impl Fn(&mut YuvPlanarImageMut<u8>, &Packed<'_>) -> Result<(), YuvError>,
) -> Result<(), EncodeError> {
    planes.reset(size.0, size.1, Subsamp::Sub2x2)?;
    let (stride, row) = (layer.stride(), layer.row_bytes());
    let paired = (layer.data().len() / stride / 2 * 2).min(size.1 / 2 * 2);
    if paired > 0 {
        let data = &layer.data()[..paired * stride];
        strip(planes, 0, data, stride, paired, &convert)?;
    }
    if paired < size.1 {
        let last = [layer.row(paired), layer.row(paired + 1)].concat();
        strip(planes, paired, &last, row, 2, &convert)?;
    }
    planes.repeat_edge();
    Ok(())
}

/// Converts `rows` rows, an even number, into the planes from row `y` on, which is even.
pub(super) fn strip(
    planes: &mut Planes,
    y: usize,
    data: &[u8],
    stride: usize,
    rows: usize,
    convert: impl Fn(&mut YuvPlanarImageMut<u8>, &Packed<'_>) -> Result<(), YuvError>,
) -> Result<(), EncodeError> {
    let width = planes.width() as u32;
    let ([luma, u, v], luma_stride, chroma_stride) = planes.split_mut();
    let height = rows as u32;
    let mut target = YuvPlanarImageMut {
        y_plane: BufferStoreMut::Borrowed(&mut luma[y * luma_stride..][..rows * luma_stride]),
        y_stride: luma_stride as u32,
        u_plane: BufferStoreMut::Borrowed(
            &mut u[y / 2 * chroma_stride..][..rows / 2 * chroma_stride],
        ),
        u_stride: chroma_stride as u32,
        v_plane: BufferStoreMut::Borrowed(
            &mut v[y / 2 * chroma_stride..][..rows / 2 * chroma_stride],
        ),
        v_stride: chroma_stride as u32,
        width,
        height,
    };
    convert(&mut target, &Packed { data, stride: stride as u32, width, height })?;
    Ok(())
}

/// A luma plane and one of chroma pairs; `order` says which of a pair is U, which V.
pub(super) fn pairs(
    planes: &mut Planes,
    luma: &Layer<'_>,
    chroma: &Layer<'_>,
    size: (usize, usize),
    [at_u, at_v]: [usize; 2],
) -> Result<(), EncodeError> {
    planes.reset(size.0, size.1, subsampling(chroma, size))?;
    let ([y, u, v], y_stride, c_stride) = planes.split_mut();
    copy(luma, y, y_stride, size.0);
    let targets = u.chunks_exact_mut(c_stride).zip(v.chunks_exact_mut(c_stride));
    for ((u, v), row) in targets.zip(chroma.rows()) {
        for ((u, v), pair) in u.iter_mut().zip(v).zip(row.as_chunks::<2>().0) {
            (*u, *v) = (pair[at_u], pair[at_v]);
        }
    }
    planes.repeat_edge();
    Ok(())
}

/// Three planes `Y U V`.
pub(super) fn planar(
    planes: &mut Planes,
    [luma, u, v]: [&Layer<'_>; 3],
    size: (usize, usize),
) -> Result<(), EncodeError> {
    planes.reset(size.0, size.1, subsampling(u, size))?;
    let ([to_y, to_u, to_v], y_stride, c_stride) = planes.split_mut();
    copy(luma, to_y, y_stride, size.0);
    copy(u, to_u, c_stride, c_stride);
    copy(v, to_v, c_stride, c_stride);
    planes.repeat_edge();
    Ok(())
}

/// Luma alone, of `bits` bits: a byte, or a 16-bit word whose upper 8 of so many are taken. A camera may
/// set bits that its format does not have: then it is white.
pub(super) fn grey(
    planes: &mut Planes,
    layer: &Layer<'_>,
    size: (usize, usize),
    bits: u32,
) -> Result<(), EncodeError> {
    planes.reset(size.0, size.1, Subsamp::Gray)?;
    let ([luma, ..], stride, _) = planes.split_mut();
    if bits == 8 {
        copy(layer, luma, stride, size.0);
        return Ok(());
    }
    for (to, row) in luma.chunks_exact_mut(stride).zip(layer.rows()) {
        for (to, word) in to.iter_mut().zip(row.as_chunks::<2>().0) {
            *to = (u16::from_le_bytes(*word) >> (bits - 8)).min(255) as u8;
        }
    }
    Ok(())
}

/// 4:2:2 where there is a row of chroma for each row of pixels, else 4:2:0.
fn subsampling(chroma: &Layer<'_>, (_, height): (usize, usize)) -> Subsamp {
    // One row of pixels has one of chroma either way, and either way it is the same picture.
    if chroma.height() == height { Subsamp::Sub2x1 } else { Subsamp::Sub2x2 }
}

/// Copies the first `width` samples of each row.
fn copy(layer: &Layer<'_>, to: &mut [u8], stride: usize, width: usize) {
    for (to, row) in to.chunks_exact_mut(stride).zip(layer.rows()) {
        to[..width].copy_from_slice(&row[..width]);
    }
}
