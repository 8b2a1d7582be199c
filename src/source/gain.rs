//! The best gain, found by trying.
//!
//! More gain lifts the noise of the antenna over that of the 8-bit converter (-50 dBFS); beyond that it only
//! takes room from strong meters. So the best gain is the lowest one that puts the noise well above the
//! converter's, with next to nothing clipped.

use crate::source::{Gain, Source, TuneCommand};
use metertap_dsp::Complex32;
use metertap_dsp::iq::Format;
use std::io::{ErrorKind, Result};
use std::time::{Duration, Instant};

/// 10 dB above the converter: its noise then costs 0.4 dB.
const NOISE_DBFS: f64 = -40.0;
/// Share of samples at the end of the scale.
const CLIPPED: f64 = 1e-3;
/// What a tuner needs to settle, with what is on its way meanwhile.
const SETTLE: Duration = Duration::from_millis(120);
/// What a gain is judged by.
const LISTEN: Duration = Duration::from_millis(120);
/// Gains tried at most.
const TRIALS: usize = 12;
/// Of an R820T, in tenths of a dB, for sources that do not tell theirs.
pub const CUSTOMARY_TENTHS: [i32; 29] = [
    0, 9, 14, 27, 37, 77, 87, 125, 144, 157, 166, 197, 207, 229, 254, 280, 297, 328, 338, 364, 372, 386, 402,
    421, 434, 439, 445, 480, 496,
];

/// How strong samples are.
#[derive(Clone, Debug)]
pub struct Levels {
    /// How often each byte was seen, of those looked at.
    bytes: [u64; 256],
}

impl Default for Levels {
    fn default() -> Self {
        Levels { bytes: [0; 256] }
    }
}

impl Levels {
    /// Looks at some of `bytes`, which are cu8.
    pub fn add(&mut self, bytes: &[u8]) {
        // A prime number of bytes apart, so that both I and Q come in turn.
        for byte in bytes.iter().step_by(7) {
            self.bytes[usize::from(*byte)] += 1;
        }
    }

    /// Looks at some of `samples`, full scale ±1, as 8 bits would show them.
    pub fn add_samples(&mut self, samples: &[Complex32]) {
        for sample in samples.iter().step_by(7) {
            for value in [sample.re, sample.im] {
                self.bytes[usize::from((value * 127.5 + 127.5).round() as u8)] += 1;
            }
        }
    }

    /// Shares of the parts of the scale, from its lower end to its upper one.
    pub fn shares(&self, parts: usize) -> Vec<f64> {
        let sums = self.sums(parts).into_iter();
        sums.map(|sum| sum as f64 / self.count()).collect()
    }

    /// How many samples are in each part of the scale.
    fn sums(&self, parts: usize) -> Vec<u64> {
        let parts = self.bytes.chunks(256 / parts.clamp(1, 256));
        parts.map(|part| part.iter().sum()).collect()
    }

    /// Share of samples at either end of the scale.
    pub fn clipped(&self) -> f64 {
        (self.bytes[0] + self.bytes[255]) as f64 / self.count()
    }

    /// Power about the mean, full scale = 0 dB.
    pub fn power_dbfs(&self) -> f64 {
        let weighted = |f: &dyn Fn(f64) -> f64| -> f64 {
            let sum: f64 = self
                .bytes
                .iter()
                .zip(0u16..)
                .map(|(n, byte)| *n as f64 * f(f64::from(byte)))
                .sum();
            sum / self.count()
        };
        let mean = weighted(&|byte| byte);
        // Of I and of Q: twice the variance of one.
        let power = 2.0 * weighted(&|byte| (byte - mean).powi(2)) / 127.5f64.powi(2);
        10.0 * power.max(1e-9).log10()
    }

    /// A bar for each sixteenth of the scale.
    pub fn bars(&self) -> String {
        const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        let sixteenths = self.sums(16);
        let top = sixteenths.iter().copied().max().unwrap_or(1).max(1);
        sixteenths
            .iter()
            .map(|n| BARS[(n * 8).div_ceil(top) as usize])
            .collect()
    }

    fn count(&self) -> f64 {
        self.bytes.iter().sum::<u64>().max(1) as f64
    }
}

/// Tries gains, leaves `source` at the best one and returns it, in tenths of a dB.
///
/// # Errors
/// What the source says; `Unsupported` where samples are not cu8.
pub fn find_best(source: &mut dyn Source, gains_tenths: &[i32]) -> Result<i32> {
    if source.info().format != Format::Cu8 {
        return Err(ErrorKind::Unsupported.into());
    }
    let step = gains_tenths.len().div_ceil(TRIALS).max(1);
    let mut best = None;
    for &gain in gains_tenths.iter().step_by(step) {
        source.tune(TuneCommand::Gain(Gain::Tenths(gain)))?;
        let levels = listen(source)?;
        tracing::debug!(
            gain,
            power = levels.power_dbfs(),
            clipped = levels.clipped(),
            "A gain was tried."
        );
        if levels.clipped() > CLIPPED && best.is_some() {
            break;
        }
        best = Some(gain);
        if levels.power_dbfs() > NOISE_DBFS {
            break;
        }
    }
    let best = best.ok_or(ErrorKind::Unsupported)?;
    source.tune(TuneCommand::Gain(Gain::Tenths(best)))?;
    Ok(best)
}

fn listen(source: &mut dyn Source) -> Result<Levels> {
    let mut buffer = vec![0; 1 << 16];
    let mut levels = Levels::default();
    let begun = Instant::now();
    while begun.elapsed() < SETTLE + LISTEN {
        match source.read(&mut buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) if begun.elapsed() > SETTLE => levels.add(&buffer[..n]),
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::TimedOut && begun.elapsed() < Duration::from_secs(2) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(levels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use metertap_dsp::iq::Format;
    use metertap_dsp::synth::Random;

    /// A tuner whose noise is at -60 dBFS without gain, before the converter.
    struct Tuner {
        info: super::super::Info,
        tenths: i32,
        random: Random,
    }

    impl Source for Tuner {
        fn info(&self) -> &super::super::Info {
            &self.info
        }

        fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
            std::thread::sleep(Duration::from_millis(5));
            let amplitude = 10f32.powf((f32::from(self.tenths as i16) / 10.0 - 60.0) / 20.0);
            for pair in buffer[..4096].chunks_exact_mut(2) {
                let sample = self.random.gaussian() * amplitude * 127.5;
                pair[0] = (127.5 + sample.re).round().clamp(0.0, 255.0) as u8;
                pair[1] = (127.5 + sample.im).round().clamp(0.0, 255.0) as u8;
            }
            Ok(4096)
        }

        fn tune(&mut self, command: TuneCommand) -> Result<()> {
            if let TuneCommand::Gain(Gain::Tenths(tenths)) = command {
                self.tenths = tenths;
            }
            Ok(())
        }
    }

    #[test]
    fn the_best_gain_is_the_lowest_that_lifts_the_noise_off_the_converter() {
        let mut tuner = Tuner {
            info: super::super::Info {
                name: "a tuner".into(),
                format: Format::Cu8,
                sample_rate_hz: 2.4e6,
                center_hz: None,
                start: jiff::Timestamp::UNIX_EPOCH,
                bytes: None,
                assumed: Vec::new(),
            },
            tenths: 0,
            random: Random::new(1),
        };
        let best = find_best(&mut tuner, &CUSTOMARY_TENTHS).unwrap();
        assert!((200..=260).contains(&best), "{best}");
        assert_eq!(tuner.tenths, best);
    }
}
