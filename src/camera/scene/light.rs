//! The light over the street: day and night, a street lamp, lit windows, and slow drift.
//!
//! `Sky` tells the light of a moment, from the seed alone. `Lighting` applies it to a picture that
//! was drawn as at noon: each sample is multiplied by the light that falls there, and what shines by
//! itself is added. The maps for that are made again only when the light has changed visibly.

use fastrand::Rng;

use super::canvas::Planes;

/// What the light did since the frame before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LightEvent {
    /// Nothing, or too slowly to be called an event.
    Steady,
    /// The lamp went on in this frame.
    LampOn,
    /// The lamp went off in this frame.
    LampOff,
    /// It is getting dark.
    Dusk,
    /// It is getting light.
    Dawn,
}

/// The light of one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Light {
    /// 1 by day, 0 at night.
    pub(super) day: f32,
    /// Is the lamp on?
    pub(super) lamp: bool,
    /// Slow change around 1: clouds, exposure.
    drift: f32,
}

/// When what happens; times in seconds of a cycle of day and night that comes again and again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sky {
    dusk: f64,
    dusk_takes: f64,
    lamp_on: f64,
    /// The lamp fails for a moment in the night.
    lamp_gap: (f64, f64),
    lamp_off: f64,
    dawn: f64,
    dawn_takes: f64,
    cycle: f64,
    drift_takes: f64,
}

impl Sky {
    /// The light's times; the first change comes between 20 and 32 seconds.
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed ^ 0x006C_6967_6874);
        let mut span = |from: f64, to: f64| from + rng.f64() * (to - from);
        let dusk = span(20.0, 28.0);
        let dusk_takes = span(8.0, 14.0);
        let lamp_on = dusk + dusk_takes * span(0.5, 0.8);
        let gap = dusk + dusk_takes + span(10.0, 18.0);
        let dawn = gap + span(16.0, 30.0);
        let dawn_takes = span(8.0, 14.0);
        Self {
            dusk,
            dusk_takes,
            lamp_on,
            lamp_gap: (gap, gap + span(1.5, 4.0)),
            lamp_off: dawn + dawn_takes * span(0.6, 0.9),
            dawn,
            dawn_takes,
            cycle: dawn + dawn_takes + span(25.0, 40.0),
            drift_takes: span(35.0, 60.0),
        }
    }

    /// The light at `t` seconds of scene time.
    pub(super) fn at(&self, t: f64) -> Light {
        let now = t % self.cycle;
        let ramp = |from: f64, takes: f64| ((now - from) / takes).clamp(0.0, 1.0);
        let smooth = |x: f64| x * x * (3.0 - 2.0 * x);
        let day = 1.0 - smooth(ramp(self.dusk, self.dusk_takes))
            + smooth(ramp(self.dawn, self.dawn_takes));
        let failed = (self.lamp_gap.0..self.lamp_gap.1).contains(&now);
        Light {
            day: day as f32,
            lamp: (self.lamp_on..self.lamp_off).contains(&now) && !failed,
            drift: 1.0 + 0.03 * (t / self.drift_takes * std::f64::consts::TAU).sin() as f32,
        }
    }
}

/// What happened between two moments.
pub(super) fn event(before: Light, now: Light) -> LightEvent {
    if before.lamp != now.lamp {
        return if now.lamp { LightEvent::LampOn } else { LightEvent::LampOff };
    }
    match now.day.total_cmp(&before.day) {
        std::cmp::Ordering::Less => LightEvent::Dusk,
        std::cmp::Ordering::Greater => LightEvent::Dawn,
        std::cmp::Ordering::Equal => LightEvent::Steady,
    }
}

/// Where the street's own lights fall.
#[derive(Debug)]
pub(super) struct Lamps {
    /// Light of the lamp on each luma sample, 0 to 255.
    pub(super) pool: Vec<u8>,
    /// What shines by itself at night (windows): luma, and chroma around 128.
    pub(super) windows: Planes,
    /// What shines while the lamp is on.
    pub(super) head: Vec<u8>,
}

/// Applies light to pictures of one size.
#[derive(Debug)]
pub(super) struct Lighting {
    lamps: Lamps,
    made_for: Option<Key>,
    gain: Vec<u8>,
    shine: Vec<u8>,
    shine_u: Vec<i8>,
    shine_v: Vec<i8>,
}

/// The light in steps that make no visible difference.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Key {
    /// Light from the sky, 128 at noon.
    ambient: u16,
    lamp: u16,
    windows: u16,
    tint: (i16, i16),
}

impl Key {
    fn of(light: Light) -> Self {
        let night = 1.0 - light.day;
        // Orange in the middle of dusk, blue at night.
        let glow = 4.0 * light.day * night;
        let ambient = (0.25 + 0.75 * light.day.powf(1.3)) * light.drift;
        Self {
            ambient: (ambient * 128.0).round() as u16,
            lamp: if light.lamp { (40.0 + 60.0 * night).round() as u16 } else { 0 },
            windows: (((night - 0.35) / 0.5).clamp(0.0, 1.0) * 128.0).round() as u16,
            tint: ((6.0 * night - 6.0 * glow).round() as i16, (5.0 * glow - 3.0 * night) as i16),
        }
    }
}

impl Lighting {
    /// Lighting of a street with these lamps.
    pub(super) fn new(lamps: Lamps) -> Self {
        let (luma, chroma) = (lamps.pool.len(), lamps.windows.u.len());
        Self {
            lamps,
            made_for: None,
            gain: vec![128; luma],
            shine: vec![0; luma],
            shine_u: vec![0; chroma],
            shine_v: vec![0; chroma],
        }
    }

    /// Puts a picture that was drawn as at noon into this light.
    pub(super) fn apply(&mut self, planes: &mut Planes, light: Light) {
        let key = Key::of(light);
        if self.made_for != Some(key) {
            self.prepare(key);
            self.made_for = Some(key);
        }
        for ((y, &gain), &shine) in planes.y.iter_mut().zip(&self.gain).zip(&self.shine) {
            let lit = (u16::from(*y) * u16::from(gain)) >> 7;
            *y = (lit + u16::from(shine)).min(255) as u8;
        }
        light_chroma(&mut planes.u, &self.gain, &self.shine_u);
        light_chroma(&mut planes.v, &self.gain, &self.shine_v);
    }

    fn prepare(&mut self, key: Key) {
        let pools = self.lamps.pool.iter().zip(&self.lamps.windows.y).zip(&self.lamps.head);
        for (((&pool, &window), &head), (gain, shine)) in
            pools.zip(self.gain.iter_mut().zip(&mut self.shine))
        {
            let lamp = (u16::from(pool) * key.lamp) >> 8;
            *gain = (key.ambient + lamp).min(255) as u8;
            let window = (u16::from(window) * key.windows) >> 7;
            let head = if key.lamp > 0 { u16::from(head) } else { 0 };
            *shine = (window + head).min(255) as u8;
        }
        let tint = |shine: &mut [i8], window: &[u8], tint: i16, warm: i16| {
            let pools = self.lamps.pool.chunks_exact(2);
            for ((shine, &window), pool) in shine.iter_mut().zip(window).zip(pools) {
                let window = ((i16::from(window) - 128) * key.windows as i16) >> 7;
                let lamp = (i16::from(pool[0]) * warm) >> 8;
                *shine = (tint + window + lamp).clamp(-100, 100) as i8;
            }
        };
        let lamp = key.lamp as i16;
        tint(&mut self.shine_u, &self.lamps.windows.u, key.tint.0, -lamp / 4);
        tint(&mut self.shine_v, &self.lamps.windows.v, key.tint.1, lamp / 6);
    }
}

/// Less light means less colour.
fn light_chroma(plane: &mut [u8], gain: &[u8], shine: &[i8]) {
    for ((c, &[gain, _]), &shine) in plane.iter_mut().zip(gain.as_chunks().0).zip(shine) {
        let gain = i16::from(gain.min(128));
        let lit = ((i16::from(*c) - 128) * gain) >> 7;
        *c = (128 + lit + i16::from(shine)).clamp(0, 255) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_change_of_light_comes_in_time_and_all_kinds_come() {
        for seed in 0..200 {
            let sky = Sky::new(seed);
            let mut before = sky.at(0.0);
            let mut first = None;
            let mut kinds = Vec::new();
            for frame in 1..15 * 130 {
                let t = f64::from(frame) / 15.0;
                let now = sky.at(t);
                let event = event(before, now);
                if event != LightEvent::Steady {
                    first.get_or_insert(t);
                    if !kinds.contains(&event) {
                        kinds.push(event);
                    }
                }
                before = now;
            }
            assert!((20.0..40.0).contains(&first.unwrap()), "seed {seed}: {first:?}");
            assert_eq!(kinds.len(), 4, "seed {seed}: {kinds:?}");
        }
    }
}
