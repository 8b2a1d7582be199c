//! Interface between search and lock: what stood out, and the samples around it.

use super::tones::Cells;
use super::track::Burst;
use crate::Complex32;

/// Half of what the power of a burst is added up in for its noise.
const NOISE_HZ: f64 = 100e3;
/// Half the widths of the bands whose power is averaged, one after another around the mean of the one before.
const MOMENTS_HZ: [f64; 5] = [180e3, 160e3, 140e3, 135e3, 135e3];

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Detection {
    /// Number of the first sample.
    pub first_sample: u64,
    /// Frequency in cycles per sample to which the samples are to be, or have been, shifted; the carrier is `shift` beside it. It and
    /// the deviation have errors of some percent of the width.
    pub frequency: f64,
    pub shift: f64,
    pub deviation: f64,
    /// Noise power per sample at this carrier, and mean noise power of the whole window.
    pub noise: f32,
    pub window_noise: f32,
}

/// Samples in which there may be frames.
pub(super) enum Segment<'a> {
    /// Of the modes T, C and S, as they are.
    Wide(&'a [Complex32], Detection),
    /// Of the other modes, shifted and added up.
    Narrow(&'a mut Cells, Detection),
}

/// What a segment is made of.
pub(super) struct View<'a> {
    history: &'a [Complex32],
    origin: u64,
    floor: &'a [f32],
    bin_hz: f64,
}

impl<'a> View<'a> {
    pub fn new(history: &'a [Complex32], origin: u64, floor: &'a [f32], bin_hz: f64) -> Self {
        View {
            history,
            origin,
            floor,
            bin_hz,
        }
    }

    pub fn hand_out(&self, burst: &Burst, found: &mut impl FnMut(Segment)) {
        let len = self.floor.len();
        let block = len as u64;
        let from = (burst.first * block).max(self.origin);
        let to = ((burst.last + 1) * block).min(self.origin + self.history.len() as u64);
        if to <= from {
            return;
        }
        let (bin, deviation) = self.tones(burst);
        let at = |bin: f64| (bin.rem_euclid(len as f64) as usize).min(len - 1);
        let reach = (NOISE_HZ / self.bin_hz) as i32;
        let around = (-reach..=reach).map(|i| self.floor[at(bin + f64::from(i))]);
        let noise = around.sum::<f32>() / (2 * reach + 1) as f32;
        let window_noise = self.floor.iter().sum::<f32>() / len as f32;
        let samples = &self.history[(from - self.origin) as usize..(to - self.origin) as usize];
        let detection = Detection {
            first_sample: from,
            frequency: bin / len as f64,
            shift: 0.0,
            deviation: deviation / len as f64,
            noise: noise / len as f32,
            window_noise: window_noise / len as f32,
        };
        found(Segment::Wide(samples, detection));
    }

    /// Returns carrier and deviation of a burst, in bins: mean and root mean square distance of its power. Both err by some
    /// kHz, and the deviation by more if the lobes of the tones overlap.
    fn tones(&self, burst: &Burst) -> (f64, f64) {
        let len = burst.spectrum.len() as f64;
        let blocks = f64::from(burst.blocks.max(1));
        let mut center = f64::from(burst.bin);
        let mut deviation = 0.0;
        for reach_hz in MOMENTS_HZ {
            let reach = (reach_hz / self.bin_hz) as i32;
            let (mut sum, mut first, mut second) = (0.0, 0.0, 0.0);
            for i in -reach..=reach {
                let offset = f64::from(i);
                let bin = (center + offset).round().rem_euclid(len) as usize % burst.spectrum.len();
                let power = f64::from(burst.spectrum[bin]) / blocks - 1.0;
                sum += power;
                first += power * offset;
                second += power * offset * offset;
            }
            if sum <= 0.0 {
                break;
            }
            let limit = f64::from(reach) / 2.0;
            let shift = (first / sum).clamp(-limit, limit);
            center += shift;
            deviation = (second / sum - shift * shift).max(0.0).sqrt();
        }
        (center, deviation)
    }
}
