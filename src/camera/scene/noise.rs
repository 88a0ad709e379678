//! Sensor noise: a table of bell-shaped noise, made once, from which every row of every frame takes
//! a piece at a place drawn from the frame's number.

use fastrand::Rng;

/// Long enough that no two rows of a frame look alike.
const TABLE: usize = 1 << 18;

/// Steps of strength that are prepared; strength 1 is a standard deviation of a quarter grey level.
const STRENGTHS: usize = 16;

/// Noise of every prepared strength.
#[derive(Debug)]
pub(super) struct Noise {
    seed: u64,
    tables: Vec<Vec<i8>>,
}

impl Noise {
    /// Noise that follows from `seed`, for rows of up to `width` samples.
    pub(super) fn new(seed: u64, width: usize) -> Self {
        let mut rng = Rng::with_seed(seed ^ 0x006E_6F69_7365);
        // A sum of four uniform numbers is close enough to a bell, and never far out.
        let unit: Vec<f32> = (0..TABLE + width)
            .map(|_| (0..4).map(|_| rng.f32() - 0.5).sum::<f32>() * 3f32.sqrt())
            .collect();
        let table = |i| unit.iter().map(|n| (n * i as f32 / 4.0).round() as i8).collect();
        Self { seed, tables: (0..STRENGTHS).map(table).collect() }
    }

    /// Adds noise of a standard deviation of about `sigma` grey levels, at most 3.75, to rows of
    /// `width` samples. `plane` tells the planes of a frame apart.
    pub(super) fn add(&self, rows: &mut [u8], width: usize, frame: u64, plane: u64, sigma: f32) {
        let strength = ((sigma * 4.0).round() as usize).min(STRENGTHS - 1);
        let Some(table) = self.tables.get(strength) else { return };
        let mut rng = Rng::with_seed(self.seed ^ (frame * 3 + plane).wrapping_mul(0x9E37_79B9));
        for row in rows.chunks_exact_mut(width) {
            let from = rng.usize(..TABLE);
            for (sample, &noise) in row.iter_mut().zip(&table[from..from + width]) {
                *sample = (i16::from(*sample) + i16::from(noise)).clamp(0, 255) as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_has_the_strength_asked_for_and_differs_by_frame() {
        let noise = Noise::new(1, 640);
        let mut first = vec![100u8; 640 * 100];
        let mut second = first.clone();
        noise.add(&mut first, 640, 0, 0, 2.0);
        noise.add(&mut second, 640, 1, 0, 2.0);
        assert_ne!(first, second);
        let variance =
            first.iter().map(|&y| (f64::from(y) - 100.0).powi(2)).sum::<f64>() / 64_000.0;
        assert!((1.7..2.3).contains(&variance.sqrt()), "{}", variance.sqrt());
    }
}
