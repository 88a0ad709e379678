//! Writes a picture (binary PPM) as JPEGs with the encoders of the crates `jpeg-encoder` and `image`:
//!
//!     jpeg-encoders PICTURE.ppm NAME FOLDER
//!
//! One line for each file on standard output: encoder, sampling, variant, path.

use std::path::Path;

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let [_, picture, name, folder] = &std::env::args().collect::<Vec<_>>()[..] else {
        return Err("usage: jpeg-encoders PICTURE.ppm NAME FOLDER".into());
    };
    let (width, height, pixels) = read_ppm(&std::fs::read(picture)?).ok_or("not a binary PPM")?;
    let folder = Path::new(folder);
    use SamplingFactor as S;
    for (sampling, factor) in [
        ("444", S::F_1_1),
        ("422", S::F_2_1),
        ("440", S::F_1_2),
        ("420", S::F_2_2),
        ("411", S::F_4_1),
        ("410", S::F_4_2),
        ("441", S::F_1_4),
        ("1x4+2", S::F_2_4),
    ] {
        for variant in ["plain", "restart", "optimised"] {
            let path = folder.join(format!("jpeg-encoder-{name}-{sampling}-{variant}.jpg"));
            let mut encoder = Encoder::new_file(&path, 82)?;
            encoder.set_sampling_factor(factor);
            match variant {
                "restart" => encoder.set_restart_interval(3),
                "optimised" => encoder.set_optimized_huffman_tables(true),
                _ => {}
            }
            encoder.encode(&pixels, width, height, ColorType::Rgb)?;
            println!("jpeg-encoder\t{sampling}\t{variant}\t{}", path.display());
        }
    }
    let grey: Vec<u8> = pixels.chunks_exact(3).map(|p| p[1]).collect();
    let path = folder.join(format!("jpeg-encoder-{name}-grey-plain.jpg"));
    Encoder::new_file(&path, 75)?.encode(&grey, width, height, ColorType::Luma)?;
    println!("jpeg-encoder\tgrey\tplain\t{}", path.display());
    for (sampling, data, kind) in [
        ("image-444", &pixels, image::ExtendedColorType::Rgb8),
        ("image-grey", &grey, image::ExtendedColorType::L8),
    ] {
        let path = folder.join(format!("{sampling}-{name}.jpg"));
        let mut file = std::io::BufWriter::new(std::fs::File::create(&path)?);
        image::codecs::jpeg::JpegEncoder::new_with_quality(&mut file, 88).encode(
            data,
            width.into(),
            height.into(),
            kind,
        )?;
        println!("image\t{}\tplain\t{}", &sampling[6..], path.display());
    }
    Ok(())
}

/// Width, height and pixels of a `P6` of 8 bits without comments.
fn read_ppm(bytes: &[u8]) -> Option<(u16, u16, Vec<u8>)> {
    let mut words = bytes.split(|b| b.is_ascii_whitespace()).take(4);
    let (magic, width, height, most) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let head = magic.len() + width.len() + height.len() + most.len() + 4;
    let number = |word| std::str::from_utf8(word).ok()?.parse().ok();
    (magic == b"P6").then_some((number(width)?, number(height)?, bytes.get(head..)?.to_vec()))
}
