//! Search for the settings of a serial line among those that are usual.

use crate::source::wire::Line;
use std::time::Duration;

/// Time in which settings must give something that is understood: DSMR 2 to 4 meters send every 10 s.
const TRIAL: Duration = Duration::from_secs(12);
/// Bytes without anything that is understood, after which the settings are wrong.
const TRIAL_BYTES: usize = 4096;
/// The same for settings that were right before: noise on the line does not make them wrong, another meter does.
const PROVEN_TRIAL: Duration = Duration::from_secs(60);
const PROVEN_TRIAL_BYTES: usize = 4 * TRIAL_BYTES;

/// Line settings, those in use, and what is known of each.
///
/// Bytes that are not understood disprove settings; silence does not. While nothing comes, the settings that are not
/// disproved take turns, so that also a meter that sends once in a quarter of an hour is found: with its third telegram at the
/// latest.
#[derive(Debug)]
pub struct LineSearch {
    lines: Vec<Line>,
    current: usize,
    is_disproved: Vec<bool>,
    /// The settings in use have given something that was understood.
    is_proven: bool,
    /// The last change ended a round of trials.
    has_tried_all: bool,
    trial: Duration,
}

/// What came over the line since it was opened, or since something was last understood.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heard {
    /// Bytes.
    pub bytes: usize,
    /// Time since the first of them.
    pub since_first_byte: Duration,
    /// Time since the line was opened, or something was understood.
    pub elapsed: Duration,
}

impl LineSearch {
    /// Searches among `lines`, of which there is at least one. A meter with a known `period` is given time for a telegram.
    pub fn new(lines: Vec<Line>, period: Option<Duration>) -> Self {
        LineSearch {
            current: 0,
            is_disproved: vec![false; lines.len()],
            is_proven: false,
            has_tried_all: false,
            trial: period.map_or(TRIAL, |period| TRIAL.max(period.mul_f64(1.2))),
            lines,
        }
    }

    /// Settings in use.
    pub fn current(&self) -> Line {
        self.lines[self.current]
    }

    /// All settings, for messages.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Notes that something was understood with the settings in use: they are kept from now on.
    pub fn prove(&mut self) {
        self.is_proven = true;
        self.is_disproved.fill(false);
    }

    /// Returns true if so many bytes gave nothing that settings which were never right are wrong.
    pub fn is_disproved_by(&self, heard: &Heard) -> bool {
        !self.is_proven && heard.bytes > TRIAL_BYTES
    }

    /// Changes to the next settings if those in use are wrong, or if it is the turn of others. Returns true if there was a
    /// change.
    pub fn judge(&mut self, heard: &Heard) -> bool {
        if self.lines.len() < 2 {
            return false;
        }
        let is_wrong = match self.is_proven {
            true => heard.bytes > PROVEN_TRIAL_BYTES && heard.elapsed > PROVEN_TRIAL,
            false => self.is_disproved_by(heard) || (heard.bytes > 0 && heard.since_first_byte > self.trial),
        };
        let left = self
            .is_disproved
            .iter()
            .filter(|is_disproved| !**is_disproved)
            .count();
        let is_turn = !self.is_proven && heard.bytes == 0 && heard.elapsed > self.trial && left > 1;
        if !is_wrong && !is_turn {
            return false;
        }
        if is_wrong {
            self.is_proven = false;
            self.is_disproved[self.current] = true;
        }
        let are_all_disproved = self.is_disproved.iter().all(|is_disproved| *is_disproved);
        if are_all_disproved {
            // A telegram that was joined in its middle disproves settings that are right.
            self.is_disproved.fill(false);
        }
        let lines = self.lines.len();
        let mut next = (1..=lines).map(|step| (self.current + step) % lines);
        let candidate = next.find(|line| !self.is_disproved[*line]);
        let before = self.current;
        self.current = candidate.unwrap_or(before);
        self.has_tried_all = are_all_disproved || self.current <= before;
        true
    }

    /// Returns true if all settings were tried before the last change.
    pub fn has_tried_all(&self) -> bool {
        self.has_tried_all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_serial::DataBits;

    fn lines() -> Vec<Line> {
        vec![
            Line::plain(115_200),
            Line::even(9600, DataBits::Seven),
            Line::plain(9600),
        ]
    }

    fn silence(seconds: u64) -> Heard {
        Heard {
            elapsed: Duration::from_secs(seconds),
            ..Heard::default()
        }
    }

    fn garbage(bytes: usize, seconds: u64) -> Heard {
        Heard {
            bytes,
            since_first_byte: Duration::from_secs(seconds),
            elapsed: Duration::from_secs(seconds),
        }
    }

    #[test]
    fn given_garbage_then_settings_are_tried_in_turn_and_silence_is_waited_out() {
        let mut search = LineSearch::new(lines(), None);
        assert!(!search.judge(&silence(11)) && !search.judge(&garbage(100, 11)));
        assert!(search.judge(&garbage(5000, 1)));
        assert_eq!(search.current(), lines()[1]);
        assert!(search.judge(&garbage(10, 13)));
        assert_eq!((search.current(), search.has_tried_all()), (lines()[2], false));
        assert!(!search.judge(&silence(10_000)), "the only settings that are left");
        assert!(search.judge(&garbage(10, 13)), "these are wrong as well");
        assert_eq!((search.current(), search.has_tried_all()), (lines()[0], true));
    }

    #[test]
    fn given_a_meter_that_sends_four_times_an_hour_then_its_third_telegram_is_understood() {
        for right in 0..3 {
            for first_s in 0..900 {
                let mut search = LineSearch::new(lines(), None);
                let (mut opened_s, mut telegrams) = (0, 0);
                for second in 0..4000 {
                    if second % 900 == first_s {
                        telegrams += 1;
                        if search.current() == lines()[right] {
                            break;
                        }
                        // What came is no telegram, and nothing follows it.
                        assert!(search.judge(&garbage(600, 13)));
                        opened_s = second;
                    } else if search.judge(&silence(second - opened_s)) {
                        opened_s = second;
                    }
                }
                assert!(telegrams <= 3, "{right}, {first_s}: {telegrams}");
            }
        }
    }

    #[test]
    fn given_settings_that_were_right_then_silence_and_noise_do_not_change_them_and_another_meter_does() {
        let mut search = LineSearch::new(lines(), None);
        search.prove();
        assert!(!search.judge(&silence(100_000)) && !search.judge(&garbage(5000, 100_000)));
        assert!(search.judge(&garbage(50_000, 61)));
        assert_eq!(search.current(), lines()[1]);
    }

    #[test]
    fn given_a_period_then_settings_are_tried_for_that_long() {
        let mut search = LineSearch::new(lines(), Some(Duration::from_secs(60)));
        assert!(!search.judge(&silence(70)) && search.judge(&silence(73)));
    }
}
