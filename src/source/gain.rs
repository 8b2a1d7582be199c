//! Search for the best tuner gain.
//!
//! More gain lifts the noise of the antenna above that of the 8-bit converter (-50 dBFS); beyond that it only takes
//! headroom from strong meters. So the best gain is the lowest one that puts the noise well above the converter's, with
//! next to nothing clipped.

use crate::source::iq::Source;
use crate::source::levels::Levels;
use crate::source::tuning::{Gain, TuneCommand};
use metertap_dsp::iq::Format;
use std::io::{ErrorKind, Result};
use std::time::{Duration, Instant};

/// Noise power that is enough: 10 dB above the converter's own noise, which then costs 0.4 dB.
const NOISE_DBFS: f64 = -40.0;
/// Share of clipped values that is too much.
const MAX_CLIPPED: f64 = 1e-3;
/// Time for the tuner to settle, and for samples under way to pass.
const SETTLE: Duration = Duration::from_millis(120);
/// Time for which each gain is measured.
const MEASURE: Duration = Duration::from_millis(120);
/// A source that delivers nothing for this long is given up.
const MAX_SILENCE: Duration = Duration::from_secs(2);
/// Gains tried at most: the whole search takes 3 s.
const MAX_TRIALS: usize = 12;
/// Gains of an R820T in tenths of a dB, for sources that do not list theirs.
pub const R820T_GAINS_TENTHS: [i32; 29] = [
    0, 9, 14, 27, 37, 77, 87, 125, 144, 157, 166, 197, 207, 229, 254, 280, 297, 328, 338, 364, 372, 386, 402,
    421, 434, 439, 445, 480, 496,
];

/// Tries some of `gains_tenths` in ascending order, leaves `source` at the best one and returns it, in tenths of a dB.
///
/// # Errors
/// Returns the error of the source; `Unsupported` if its samples are not cu8 or there are no gains.
pub fn find_best(source: &mut dyn Source, gains_tenths: &[i32]) -> Result<i32> {
    if source.info().format != Format::Cu8 {
        return Err(ErrorKind::Unsupported.into());
    }
    let step = gains_tenths.len().div_ceil(MAX_TRIALS).max(1);
    let mut best = None;
    for &tenths in gains_tenths.iter().step_by(step) {
        source.tune(TuneCommand::Gain(Gain::Tenths(tenths)))?;
        let levels = measure(source)?;
        tracing::debug!(
            gain = tenths,
            power = levels.power_dbfs(),
            clipped = levels.clipped(),
            "Gain tried"
        );
        // More gain only clips more. The first gain is better than none, whatever it clips.
        if levels.clipped() > MAX_CLIPPED && best.is_some() {
            break;
        }
        best = Some(tenths);
        if levels.power_dbfs() > NOISE_DBFS {
            break;
        }
    }
    let best = best.ok_or(ErrorKind::Unsupported)?;
    source.tune(TuneCommand::Gain(Gain::Tenths(best)))?;
    Ok(best)
}

/// Skips the samples of [`SETTLE`] and counts those of [`MEASURE`]. Time is measured in samples: they arrive as they are
/// taken, and tests need not wait.
fn measure(source: &mut dyn Source) -> Result<Levels> {
    let info = source.info();
    let bytes_per_second = info.sample_rate_hz * info.format.sample_bytes() as f64;
    let skip = (SETTLE.as_secs_f64() * bytes_per_second) as usize;
    let end = skip + (MEASURE.as_secs_f64() * bytes_per_second) as usize;
    let mut buffer = vec![0; 1 << 16];
    let mut levels = Levels::default();
    let mut position = 0;
    let mut received = Instant::now();
    while position < end {
        match source.read(&mut buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                levels.add(&buffer[skip.saturating_sub(position).min(n)..n]);
                position += n;
                received = Instant::now();
            }
            Err(e) if e.kind() == ErrorKind::TimedOut && received.elapsed() < MAX_SILENCE => {}
            Err(e) => return Err(e),
        }
    }
    Ok(levels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::iq::Info;
    use metertap_dsp::iq::Format;
    use metertap_dsp::synth::Random;

    /// A tuner whose noise is at -60 dBFS without gain.
    struct Tuner {
        info: Info,
        tenths: i32,
        random: Random,
    }

    impl Source for Tuner {
        fn info(&self) -> &Info {
            &self.info
        }

        fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
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
            info: Info {
                name: "a tuner".into(),
                format: Format::Cu8,
                sample_rate_hz: 2.4e5,
                center_hz: None,
                start: jiff::Timestamp::UNIX_EPOCH,
                bytes: None,
                assumed: Vec::new(),
            },
            tenths: 0,
            random: Random::new(1),
        };
        let best = find_best(&mut tuner, &R820T_GAINS_TENTHS).unwrap();
        assert!((200..=260).contains(&best), "{best}");
        assert_eq!(tuner.tenths, best);
    }
}
