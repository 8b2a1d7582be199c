//! Steady tone beside a carrier: a spur of the receiver, which is there all the time and can be subtracted.

use crate::Complex32;
use crate::phasor::phasor;

/// Samples that are added up before the frequency is measured: a tone half a bin of the search away turns by an eighth meanwhile.
const BLOCK: usize = 1024;
/// Greatest distance of a tone from where it is searched for, in turns per block, and part of the resolution that is stepped by.
const REACH: f64 = 0.25;
const STEPS: f64 = 4.0;
/// Halvings of that step.
const HALVINGS: i32 = 6;

/// Tone in a stretch of samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tone {
    /// Cycles per sample.
    pub frequency: f64,
    /// Amplitude, with the phase at the first sample.
    pub amplitude: Complex32,
}

/// Measures tones.
pub(crate) struct ToneMeter {
    sums: Vec<Complex32>,
}

impl ToneMeter {
    /// Room for `capacity` samples.
    pub fn new(capacity: usize) -> Self {
        ToneMeter {
            sums: Vec::with_capacity(capacity / BLOCK),
        }
    }

    /// Measures the tone near `frequency` (cycles per sample, to half a bin of the search) over all of `samples`; what lasts for a part of them
    /// only hardly counts. `None` for fewer samples than a block.
    pub fn measure(&mut self, samples: &[Complex32], frequency: f64) -> Option<Tone> {
        self.sums.clear();
        let room = self.sums.capacity();
        for (i, block) in samples.chunks_exact(BLOCK).enumerate().take(room) {
            let mut sum = Complex32::default();
            // The phase is computed anew every so often: a product of phasors loses precision.
            for (k, part) in block.chunks(64).enumerate() {
                let turn = phasor(-frequency);
                let mut mixer = phasor(-(frequency * (i * BLOCK + k * 64) as f64).fract());
                for sample in part {
                    sum += sample * mixer;
                    mixer *= turn;
                }
            }
            self.sums.push(sum);
        }
        let count = self.sums.len();
        if count == 0 {
            return None;
        }
        let sum = |turns: f64| -> Complex32 {
            let sums = self.sums.iter().enumerate();
            sums.map(|(i, sum)| sum * phasor(-(turns * (i as f64 + 0.5)).fract()))
                .sum()
        };
        let mut step = 1.0 / (STEPS * count as f64);
        let reach = (REACH / step) as i32;
        let best = |turns: &mut dyn Iterator<Item = f64>| {
            turns.fold((0.0, f32::NEG_INFINITY), |best, turns| {
                let power = sum(turns).norm_sqr();
                if power > best.1 { (turns, power) } else { best }
            })
        };
        let (mut turns, _) = best(&mut (-reach..=reach).map(|i| f64::from(i) * step));
        for _ in 0..HALVINGS {
            step /= 2.0;
            (turns, _) = best(&mut [turns, turns - step, turns + step].into_iter());
        }
        // Within a block the tone turns, too, which makes its sum shorter.
        let half = std::f64::consts::PI * turns;
        let shorter = if half.abs() < 1e-6 { 1.0 } else { half.sin() / half };
        Some(Tone {
            frequency: frequency + turns / BLOCK as f64,
            amplitude: sum(turns) / ((count * BLOCK) as f64 * shorter) as f32,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn given_a_tone_near_the_frequency_then_it_is_measured(
            off in -1.2e-4f64..1.2e-4, level in 0.1f32..2.0, phase in 0.0f64..1.0, len in 20_000usize..60_000,
        ) {
            let frequency = 0.111;
            let tone = |n: usize| phasor(((frequency + off) * n as f64).fract() + phase) * level;
            let samples: Vec<Complex32> = (0..len).map(tone).collect();
            let found = ToneMeter::new(len).measure(&samples, frequency).unwrap();
            prop_assert!((found.frequency - frequency - off).abs() < 0.02 / len as f64, "{:?}", found);
            prop_assert!((found.amplitude - tone(0)).norm() < 0.1 * level, "{:?} {}", found, tone(0));
        }
    }
}
