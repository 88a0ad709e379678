//! A block of text as coefficients.

/// Where each coefficient of the zigzag order stands in the block, row by row (T.81, figure A.6).
#[rustfmt::skip]
const ZIGZAG: [u8; 64] = [
     0,  1,  8, 16,  9,  2,  3, 10, 17, 24, 32, 25, 18, 11,  4,  5,
    12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13,  6,  7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
    58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// The quantised coefficients of a block, in zigzag order: the forward DCT of T.81, A.3.3, in floats. Text is
/// a hundred blocks of a picture, so it need not be fast.
pub(super) fn block(sample: impl Fn(usize, usize) -> u8, quantisers: &[u16; 64]) -> [i32; 64] {
    let mut cosines = [[0f32; 8]; 8];
    for (u, row) in cosines.iter_mut().enumerate() {
        let norm = if u == 0 { std::f32::consts::FRAC_1_SQRT_2 } else { 1.0 };
        for (x, cosine) in row.iter_mut().enumerate() {
            let angle = (2 * x + 1) as f32 * u as f32 * std::f32::consts::PI / 16.0;
            *cosine = norm / 2.0 * angle.cos();
        }
    }
    let mut rows = [[0f32; 8]; 8];
    for (y, row) in rows.iter_mut().enumerate() {
        let samples: [f32; 8] = std::array::from_fn(|x| f32::from(sample(x, y)) - 128.0);
        for (u, out) in row.iter_mut().enumerate() {
            *out = samples.iter().zip(&cosines[u]).map(|(s, c)| s * c).sum();
        }
    }
    std::array::from_fn(|k| {
        let (v, u) = (usize::from(ZIGZAG[k]) / 8, usize::from(ZIGZAG[k]) % 8);
        let value: f32 = rows.iter().zip(&cosines[v]).map(|(row, c)| row[u] * c).sum();
        (value / f32::from(quantisers[k].max(1))).round() as i32
    })
}
