//! Sample rates below and above those that the receiver works at.
//!
//! A slow stream is raised by an integer factor with zeros between its samples. Its spectrum then repeats with the
//! original rate as period, noise and carriers alike, so that every bin has noise and every carrier stands in the
//! window several times. Each copy is received with the full signal-to-noise ratio in its chip-wide band; duplicates are dropped as
//! always, and [`Resampling::fold`] returns the true frequency. No filter could keep the carriers at the edge of the window so well.
//!
//! A fast stream is lowered by an integer factor behind a low-pass filter: the middle of its window is searched.

use crate::Complex32;

/// Lowest and highest rate of the receiver, in samples a second.
pub(crate) const LOWEST_HZ: f64 = 1.0e6;
pub(crate) const HIGHEST_HZ: f64 = 3.2e6;
/// Lowest rate: the carrier and both sidebands of a frame, and those of its neighbors.
const LOWEST_INPUT_HZ: f64 = 225e3;
/// Highest factor of lowering: 20 MS/s are 2.5 MS/s.
const MAX_FACTOR: usize = 8;
/// Taps of the filter per output sample: 60 dB of rejection 0.2 output rates beyond the edge.
const TAPS_PER_OUTPUT: usize = 12;

/// Relation between the rate of a stream and that at which it is searched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resampling {
    input_hz: f64,
    up: usize,
    down: usize,
}

impl Resampling {
    /// Returns the relation for a stream of `input_hz` samples a second; none for one that the receiver takes as it is, or
    /// cannot use at all.
    pub fn for_rate(input_hz: f64) -> Self {
        let (mut up, mut down) = (1, 1);
        if (LOWEST_INPUT_HZ..LOWEST_HZ).contains(&input_hz) {
            up = (LOWEST_HZ / input_hz).ceil() as usize;
        } else if input_hz > HIGHEST_HZ && input_hz <= HIGHEST_HZ * MAX_FACTOR as f64 {
            down = (input_hz / HIGHEST_HZ).ceil() as usize;
        }
        Resampling { input_hz, up, down }
    }

    /// Returns true if the receiver takes the stream as it is.
    pub fn is_none(&self) -> bool {
        self.up == 1 && self.down == 1
    }

    /// Returns true if the receiver can use the stream.
    pub fn is_supported(&self) -> bool {
        (LOWEST_HZ..=HIGHEST_HZ).contains(&self.rate_hz())
    }

    /// Samples a second at which the stream is searched.
    pub fn rate_hz(&self) -> f64 {
        self.input_hz * self.up as f64 / self.down as f64
    }

    /// Searched samples per sample of the stream.
    pub fn ratio(&self) -> f64 {
        self.up as f64 / self.down as f64
    }

    /// Returns the frequency within the window of the stream of a carrier found at `offset_hz`.
    pub fn fold(&self, offset_hz: f64) -> f64 {
        if self.up == 1 {
            return offset_hz;
        }
        (offset_hz + self.input_hz / 2.0).rem_euclid(self.input_hz) - self.input_hz / 2.0
    }

    /// Factor between the signal-to-noise ratio in the window that is searched and that in the window of the stream, in dB.
    pub fn snr_correction_db(&self) -> f32 {
        // Each copy has the noise of all copies in its window; a lowered stream has lost the noise outside.
        (10.0 * self.ratio().log10()) as f32
    }
}

/// Raises or lowers the rate of a stream.
pub struct Resampler {
    resampling: Resampling,
    taps: Vec<f32>,
    /// Samples that the filter still needs.
    history: Vec<Complex32>,
}

impl Resampler {
    /// Creates the resampler of one stream.
    pub fn new(resampling: Resampling) -> Self {
        let taps = if resampling.down > 1 {
            low_pass(resampling.down)
        } else {
            Vec::new()
        };
        Resampler {
            history: vec![Complex32::default(); taps.len().saturating_sub(1)],
            resampling,
            taps,
        }
    }

    /// Appends the resampled `samples` to `out`.
    pub fn push(&mut self, samples: &[Complex32], out: &mut Vec<Complex32>) {
        let Resampling { up, down, .. } = self.resampling;
        if down > 1 {
            self.history.extend_from_slice(samples);
            let mut from = 0;
            while from + self.taps.len() <= self.history.len() {
                let window = &self.history[from..from + self.taps.len()];
                let products = window.iter().zip(&self.taps).map(|(sample, tap)| sample * tap);
                out.push(products.sum());
                from += down;
            }
            // Never more than one filter length is left.
            self.history.drain(..from);
            return;
        }
        let zeros = up - 1;
        for sample in samples {
            // The zeros take away from each copy what this factor gives back.
            out.push(sample * up as f32);
            out.extend(std::iter::repeat_n(Complex32::default(), zeros));
        }
    }
}

/// Windowed sinc (Blackman) for lowering by `down`: half the output rate is at half of the response.
fn low_pass(down: usize) -> Vec<f32> {
    let len = TAPS_PER_OUTPUT * down + 1;
    let middle = (len - 1) as f64 / 2.0;
    let tap = |i: usize| {
        let t = (i as f64 - middle) / down as f64;
        let sinc = if t == 0.0 {
            1.0
        } else {
            (std::f64::consts::PI * t).sin() / (std::f64::consts::PI * t)
        };
        let phase = std::f64::consts::TAU * i as f64 / (len - 1) as f64;
        let window = 0.42 - 0.5 * phase.cos() + 0.08 * (2.0 * phase).cos();
        sinc * window / down as f64
    };
    (0..len).map(|i| tap(i) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_any_rate_then_it_is_brought_into_the_range_of_the_receiver() {
        for (rate_hz, searched_hz) in [
            (250e3, 1e6),
            (262_144.0, 1_048_576.0),
            (960e3, 1.92e6),
            (1e6, 1e6),
            (2_359_296.0, 2_359_296.0),
            (3.2e6, 3.2e6),
            (10e6, 2.5e6),
            (20e6, 20e6 / 7.0),
            (100e3, 100e3),
            (40e6, 40e6),
        ] {
            let resampling = Resampling::for_rate(rate_hz);
            assert_eq!(resampling.rate_hz(), searched_hz, "{rate_hz}");
            assert_eq!(
                resampling.is_supported(),
                searched_hz != 100e3 && searched_hz != 40e6
            );
        }
    }

    #[test]
    fn given_a_copy_of_a_carrier_then_its_frequency_is_that_in_the_stream() {
        let slow = Resampling::for_rate(250e3);
        for offset_hz in [30e3, 280e3, -220e3, -470e3] {
            assert!((slow.fold(offset_hz) - 30e3).abs() < 1e-6, "{offset_hz}");
        }
        assert_eq!(Resampling::for_rate(2.4e6).fold(9e5), 9e5);
    }

    /// Amplitude of a tone of amplitude 1 and `cycles` per input sample after lowering by 4.
    fn lowered(cycles: f64) -> f32 {
        let mut resampler = Resampler::new(Resampling::for_rate(10e6));
        let tone = (0..4000)
            .map(|i| Complex32::from_polar(1.0, (std::f64::consts::TAU * cycles * f64::from(i)) as f32));
        let mut out = Vec::new();
        // Any split gives the same samples.
        tone.collect::<Vec<_>>()
            .chunks(7)
            .for_each(|part| resampler.push(part, &mut out));
        assert!((out.len() as i64 - 1000).abs() < 20, "{}", out.len());
        out[500].norm()
    }

    #[test]
    fn given_a_fast_stream_then_the_middle_passes_and_the_rest_does_not() {
        assert!((lowered(0.05) - 1.0).abs() < 0.01);
        assert!(lowered(0.2) < 2e-3 && lowered(0.4) < 2e-3);
    }
}
