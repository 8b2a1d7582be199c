//! Finds sources that are open but deliver nothing of use.

use crate::receiver::rate_estimate::RateEstimate;
use crate::source::Info;
use std::time::{Duration, Instant};

/// Without samples, or with samples that are all equal, for longer than this a source is stalled.
pub const MAX_SILENCE: Duration = Duration::from_secs(3);
/// Time over which the sample rate is measured.
const RATE_SPAN: Duration = Duration::from_secs(10);
/// Relative error of the measured rate beyond which a source is stalled. The clocks of host and dongle differ by 1e-4 at
/// most, but a network delivers in bursts.
const RATE_TOLERANCE: f64 = 0.05;

/// Judges one connection to a source by the bytes it delivers.
pub struct RateMonitor {
    bytes_per_second: f64,
    sample_bytes: f64,
    /// Time of the last samples.
    received: Instant,
    /// Time of the last block in which not all bytes were equal.
    varied: Instant,
    /// Begin of the current measurement of the rate, and bytes since then.
    span_began: Instant,
    span_bytes: u64,
    /// Estimate of a smaller error over a longer time.
    estimate: RateEstimate,
    name: String,
}

impl RateMonitor {
    /// Starts to judge a source that was opened at `now`.
    pub fn new(info: &Info, now: Instant) -> Self {
        let sample_bytes = info.format.sample_bytes() as f64;
        RateMonitor {
            bytes_per_second: info.sample_rate_hz * sample_bytes,
            sample_bytes,
            received: now,
            varied: now,
            span_began: now,
            span_bytes: 0,
            estimate: RateEstimate::new(info.sample_rate_hz, info.format.sample_bytes(), now),
            name: info.name.clone(),
        }
    }

    /// Notes that a read returned without samples.
    ///
    /// # Errors
    /// Returns the reason if the source is stalled.
    pub fn nothing(&mut self, now: Instant) -> Result<(), String> {
        let silence = now - self.received;
        if silence > MAX_SILENCE {
            return Err(format!("no samples for {:.0} s", silence.as_secs_f64()));
        }
        Ok(())
    }

    /// Notes that `bytes` of samples were read.
    ///
    /// # Errors
    /// Returns the reason if the source is stalled.
    pub fn samples(&mut self, bytes: &[u8], now: Instant) -> Result<(), String> {
        self.received = now;
        if bytes.iter().any(|byte| *byte != bytes[0]) {
            self.varied = now;
        }
        let equal_for = now - self.varied;
        if equal_for > MAX_SILENCE {
            return Err(format!(
                "all samples have been equal for {} s",
                equal_for.as_secs()
            ));
        }
        if let Some(rate_hz) = self.estimate.add(bytes.len(), now) {
            tracing::warn!(
                source = self.name,
                expected = self.bytes_per_second / self.sample_bytes,
                delivers = rate_hz,
                "Source has another sample rate than it was set to; meters cannot be decoded: set sample_rate to what it delivers"
            );
        }
        self.span_bytes += bytes.len() as u64;
        let span = now - self.span_began;
        if span < RATE_SPAN {
            return Ok(());
        }
        let measured = self.span_bytes as f64 / span.as_secs_f64();
        self.span_began = now;
        self.span_bytes = 0;
        if (measured / self.bytes_per_second - 1.0).abs() > RATE_TOLERANCE {
            let [measured, expected] = [measured, self.bytes_per_second].map(|rate| rate / self.sample_bytes);
            return Err(format!(
                "delivers {measured:.0} samples a second instead of {expected:.0}"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use metertap_dsp::iq::Format;

    const TICK: Duration = Duration::from_millis(100);

    fn monitor(format: Format, now: Instant) -> RateMonitor {
        let info = Info {
            name: "roof".into(),
            format,
            sample_rate_hz: 1000.0,
            center_hz: None,
            start: Timestamp::UNIX_EPOCH,
            bytes: None,
            assumed: Vec::new(),
        };
        RateMonitor::new(&info, now)
    }

    /// Feeds blocks of `block`, one each 100 ms for `seconds`; returns the first complaint.
    fn feed(format: Format, block: &[u8], seconds: u32) -> Result<(), String> {
        let mut now = Instant::now();
        let mut monitor = monitor(format, now);
        (0..10 * seconds).try_for_each(|_| {
            now += TICK;
            monitor.samples(block, now)
        })
    }

    #[test]
    fn given_the_right_rate_in_any_format_then_there_is_no_complaint() {
        for format in [Format::Cu8, Format::Cs8, Format::Cs16, Format::Cf32] {
            let block: Vec<u8> = (0..100 * format.sample_bytes()).map(|i| i as u8).collect();
            assert_eq!(feed(format, &block, 60), Ok(()), "{format}");
        }
    }

    #[test]
    fn given_a_wrong_rate_then_it_is_reported_in_samples_a_second() {
        let block: Vec<u8> = (0..320).map(|i| i as u8).collect();
        let complaint = feed(Format::Cs16, &block, 60).unwrap_err();
        assert_eq!(complaint, "delivers 800 samples a second instead of 1000");
    }

    #[test]
    fn given_equal_samples_or_none_then_the_source_is_stalled_after_three_seconds() {
        let complaint = feed(Format::Cu8, &[127; 200], 4).unwrap_err();
        assert_eq!(complaint, "all samples have been equal for 3 s");
        let now = Instant::now();
        let mut monitor = monitor(Format::Cu8, now);
        assert_eq!(monitor.nothing(now + MAX_SILENCE), Ok(()));
        let complaint = monitor.nothing(now + MAX_SILENCE + TICK).unwrap_err();
        assert_eq!(complaint, "no samples for 3 s");
    }
}
