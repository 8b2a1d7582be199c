//! Distribution of sample values: clipping, power, histogram.

use metertap_dsp::Complex32;

/// Every seventh value is counted: enough for statistics, and an odd number, so that I and Q take turns.
const STRIDE: usize = 7;
/// Values of a component of a cu8 sample.
const VALUES: usize = 256;

/// Histogram of the values of I and Q, in steps of 8 bits.
#[derive(Clone, Debug)]
pub struct Levels {
    counts: [u64; VALUES],
}

impl Default for Levels {
    fn default() -> Self {
        Levels { counts: [0; VALUES] }
    }
}

impl Levels {
    /// Counts some of `bytes`, which are cu8 samples.
    pub fn add(&mut self, bytes: &[u8]) {
        for byte in bytes.iter().step_by(STRIDE) {
            self.counts[usize::from(*byte)] += 1;
        }
    }

    /// Counts some of `samples`, full scale ±1, as 8 bits would show them.
    pub fn add_samples(&mut self, samples: &[Complex32]) {
        for sample in samples.iter().step_by(STRIDE) {
            for value in [sample.re, sample.im] {
                self.counts[usize::from((value * 127.5 + 127.5).round() as u8)] += 1;
            }
        }
    }

    /// Divides the scale into `parts` (a divisor of 256) and returns the share of values in each, from the lowest up.
    pub fn shares(&self, parts: usize) -> Vec<f64> {
        let sums = self.sums(parts).into_iter();
        sums.map(|sum| sum as f64 / self.total()).collect()
    }

    /// Share of values at either end of the scale.
    pub fn clipped(&self) -> f64 {
        (self.counts[0] + self.counts[VALUES - 1]) as f64 / self.total()
    }

    /// Power about the mean (without the DC offset), full scale = 0 dB.
    pub fn power_dbfs(&self) -> f64 {
        let mean_of = |f: &dyn Fn(f64) -> f64| -> f64 {
            let values = self.counts.iter().zip(0u16..);
            let sum: f64 = values.map(|(n, value)| *n as f64 * f(f64::from(value))).sum();
            sum / self.total()
        };
        let mean = mean_of(&|value| value);
        // I and Q together have twice the variance of one.
        let power = 2.0 * mean_of(&|value| (value - mean).powi(2)) / 127.5f64.powi(2);
        10.0 * power.max(1e-9).log10()
    }

    /// Draws the histogram as 16 block characters.
    pub fn bars(&self) -> String {
        const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        let sums = self.sums(16);
        let highest = sums.iter().copied().max().unwrap_or(1).max(1);
        sums.iter()
            .map(|n| BARS[(n * 8).div_ceil(highest) as usize])
            .collect()
    }

    fn sums(&self, parts: usize) -> Vec<u64> {
        let chunks = self.counts.chunks(VALUES / parts.clamp(1, VALUES));
        chunks.map(|chunk| chunk.iter().sum()).collect()
    }

    /// Number of values; 1 if there are none, so that shares are 0.
    fn total(&self) -> f64 {
        self.counts.iter().sum::<u64>().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_square_wave_of_half_scale_then_power_shares_and_bars_show_it() {
        let mut levels = Levels::default();
        let bytes: Vec<u8> = (0..7000).map(|i| if i % 14 < 7 { 64 } else { 191 }).collect();
        levels.add(&bytes);
        // Both components are 63.5 of 127.5 from the mean: -6.05 dB each, and there are two.
        assert!(
            (levels.power_dbfs() + 3.04).abs() < 0.01,
            "{}",
            levels.power_dbfs()
        );
        assert_eq!(levels.clipped(), 0.0);
        assert_eq!(levels.shares(4), [0.0, 0.5, 0.5, 0.0]);
        assert_eq!(levels.bars(), "    █      █    ");
    }

    #[test]
    fn given_samples_at_full_scale_then_they_are_clipped() {
        let mut levels = Levels::default();
        levels.add_samples(&[Complex32::new(1.0, -1.0); 70]);
        assert_eq!(levels.clipped(), 1.0);
        assert_eq!(Levels::default().clipped(), 0.0);
    }
}
