//! Interface between search and lock: what stood out, and the samples around it.

use super::tones::Cells;
use super::track::Burst;
use crate::Complex32;

/// Half of what the power of a burst is added up in for its noise.
const NOISE_HZ: f64 = 100e3;
/// Half the widths of the bands whose power is averaged, one after another around the mean of the one before.
const MOMENTS_HZ: [f64; 5] = [180e3, 160e3, 140e3, 135e3, 135e3];

/// Half the width of the lobe of a tone of mode S.
const LOBE_HZ: f64 = 26e3;
/// Greatest distance of the carrier between two lobes from the mean of the power, and range of their deviation.
const LOBES_REACH_HZ: f64 = 40e3;
const LOBES_DEVIATION_HZ: [f64; 2] = [36e3, 90e3];
/// Bins that the lobes may lie in: ±130 kHz at the lowest rate, whose bins are the narrowest.
const MAX_LOBE_BINS: usize = 360;

/// Estimate of carrier and deviation by the spectrum, in cycles per sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Estimate {
    /// Carrier relative to the frequency of the detection.
    pub shift: f64,
    pub deviation: f64,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Detection {
    /// Number of the first sample.
    pub first_sample: u64,
    /// Frequency in cycles per sample to which the samples are to be, or have been, shifted.
    pub frequency: f64,
    /// By the moments of the power, with an error of some percent of the width; and by the lobes of the tones, for families
    /// whose tones are further apart than their lobes are wide.
    pub moments: Estimate,
    pub lobes: Estimate,
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
        let (bin, deviation) = self.moments(burst);
        let lobes = self.lobes(burst, bin);
        let at = |bin: f64| (bin.rem_euclid(len as f64) as usize).min(len - 1);
        let reach = (NOISE_HZ / self.bin_hz) as i32;
        let around = (-reach..=reach).map(|i| self.floor[at(bin + f64::from(i))]);
        let noise = around.sum::<f32>() / (2 * reach + 1) as f32;
        let window_noise = self.floor.iter().sum::<f32>() / len as f32;
        let samples = &self.history[(from - self.origin) as usize..(to - self.origin) as usize];
        let detection = Detection {
            first_sample: from,
            frequency: bin / len as f64,
            moments: Estimate {
                shift: 0.0,
                deviation: deviation / len as f64,
            },
            lobes,
            noise: noise / len as f32,
            window_noise: window_noise / len as f32,
        };
        found(Segment::Wide(samples, detection));
    }

    /// Returns carrier and deviation of a burst, in bins: mean and root mean square distance of its power. Both err by some
    /// kHz, and the deviation by more if the lobes of the tones overlap.
    fn moments(&self, burst: &Burst) -> (f64, f64) {
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

    /// Returns carrier and deviation with which two lobes hold the most power; the carrier is near `center` (in bins). The
    /// noise beside the lobes, which weighs heavily in the moments of a weak signal, has no part in them.
    fn lobes(&self, burst: &Burst, center: f64) -> Estimate {
        let len = burst.spectrum.len();
        let bins = |hz: f64| (hz / self.bin_hz).round() as i32;
        let (lobe, reach) = (bins(LOBE_HZ).max(1), bins(LOBES_REACH_HZ));
        let [least, greatest] = LOBES_DEVIATION_HZ.map(bins);
        let first = center.round() as i32 - reach - greatest;
        let power = |bin: i32| burst.spectrum[bin.rem_euclid(len as i32) as usize];
        let mut lobes = [0.0f32; MAX_LOBE_BINS];
        let count = (2 * (reach + greatest) + 1).min(MAX_LOBE_BINS as i32);
        for (bin, sum) in (first..).zip(&mut lobes[..count as usize]) {
            *sum = (-lobe..=lobe)
                .map(|i| (lobe + 1 - i.abs()) as f32 * power(bin + i))
                .sum();
        }
        let mut best = (f32::NEG_INFINITY, 0, least);
        for shift in -reach..=reach {
            for deviation in least..=greatest {
                let middle = shift + reach + greatest;
                let lobe = |at: i32| lobes.get(at as usize).copied().unwrap_or(0.0);
                let sum = lobe(middle - deviation) + lobe(middle + deviation);
                if sum > best.0 {
                    best = (sum, shift, deviation);
                }
            }
        }
        Estimate {
            shift: (center.round() - center + f64::from(best.1)) / len as f64,
            deviation: f64::from(best.2) / len as f64,
        }
    }
}
