//! Facts about a recording for which several sources may speak, or none.

use jiff::{SignedDuration, Timestamp, Unit};
use metertap_dsp::iq::Format;
use std::time::SystemTime;

/// Sample rate assumed if nothing states one: rtlamr's.
const DEFAULT_RATE_HZ: f64 = 2_359_296.0;
/// Relative difference beyond which two sample rates contradict each other.
const RATE_TOLERANCE: f64 = 1e-4;

/// Settles each fact, and collects what had to be assumed.
#[derive(Debug, Default)]
pub struct Assumptions {
    /// One sentence for each assumption.
    pub texts: Vec<String>,
}

impl Assumptions {
    /// Settles the format: the user's, else the stated one, else cu8.
    pub fn format(&mut self, user: Option<Format>, stated: Option<Format>) -> Format {
        if let (Some(user), Some(stated)) = (user, stated) {
            if user != stated {
                self.texts.push(format!(
                    "reading it as {user}, although its metadata or name says {stated}"
                ));
            }
        }
        user.or(stated).unwrap_or_else(|| {
            self.texts
                .push("assuming cu8 (change with --sample-format)".into());
            Format::Cu8
        })
    }

    /// Settles the sample rate: the user's, else the stated one, else rtlamr's.
    pub fn sample_rate_hz(&mut self, user: Option<f64>, stated: Option<f64>) -> f64 {
        if let (Some(user), Some(stated)) = (user, stated) {
            if (user - stated).abs() > stated * RATE_TOLERANCE {
                self.texts.push(format!(
                    "using {user} S/s, although its metadata or name says {stated}"
                ));
            }
        }
        user.or(stated).unwrap_or_else(|| {
            self.texts.push(format!(
                "assuming {DEFAULT_RATE_HZ} S/s (change with --sample-rate)"
            ));
            DEFAULT_RATE_HZ
        })
    }

    /// Derives the time of the first sample: a file was last modified when its last sample was written.
    pub fn start(
        &mut self,
        modified: Option<SystemTime>,
        bytes: Option<u64>,
        format: Format,
        sample_rate_hz: f64,
    ) -> Timestamp {
        self.texts.push(
            "assuming that it was recorded when the file was last modified (change with --start)".into(),
        );
        let end = modified.and_then(|time| Timestamp::try_from(time).ok());
        let seconds = bytes.unwrap_or(0) as f64 / format.sample_bytes() as f64 / sample_rate_hz;
        let length = SignedDuration::try_from_secs_f64(seconds).unwrap_or_default();
        end.and_then(|end| end.checked_sub(length).ok())
            .and_then(|start| start.round(Unit::Millisecond).ok())
            .unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn given_a_contradiction_then_the_user_wins_and_is_told() {
        let mut assumptions = Assumptions::default();
        assert_eq!(
            assumptions.format(Some(Format::Cs8), Some(Format::Cu8)),
            Format::Cs8
        );
        assert_eq!(assumptions.sample_rate_hz(Some(2.4e6), Some(1e6)), 2.4e6);
        assert_eq!(assumptions.texts.len(), 2);
        assert_eq!(assumptions.sample_rate_hz(Some(2.4e6), Some(2.400_01e6)), 2.4e6);
        assert_eq!(assumptions.texts.len(), 2, "a rounded rate is no contradiction");
    }

    #[test]
    fn given_a_file_then_it_began_its_length_before_it_was_modified() {
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let start = Assumptions::default().start(Some(modified), Some(4_000_000), Format::Cu8, 1e6);
        assert_eq!(start.as_second(), 998);
        let start = Assumptions::default().start(None, None, Format::Cu8, 1e6);
        assert_eq!(start, Timestamp::UNIX_EPOCH);
    }
}
