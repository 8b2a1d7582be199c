//! One packet heard by two receivers is one reading, with the better signal.

use crate::meter::Reading;
use jiff::SignedDuration;
use std::time::{Duration, Instant};

/// How long a reading is held back for another receiver to hear it too: receivers lag by a block or two.
const HOLD: Duration = Duration::from_millis(300);
/// Clocks of two receivers may differ by the latency of the bus.
const APART: SignedDuration = SignedDuration::from_millis(500);
/// Held at once; then the oldest go on.
const MAX_HELD: usize = 1024;

/// Readings on hold.
#[derive(Default)]
pub struct Deduplicator {
    held: Vec<(Instant, Reading)>,
}

impl Deduplicator {
    /// Takes a reading from one of several receivers.
    pub fn push(&mut self, reading: Reading, now: Instant) {
        let same = |other: &Reading| {
            other.message == reading.message
                && !other.heard_by.iter().any(|name| reading.heard_by.contains(name))
                && other.time.duration_since(reading.time).abs() < APART
        };
        let Some((_, other)) = self.held.iter_mut().find(|(_, other)| same(other)) else {
            self.held.push((now, reading));
            return;
        };
        let mut heard_by = std::mem::take(&mut other.heard_by);
        if reading.signal.snr_db > other.signal.snr_db {
            *other = reading;
            heard_by.append(&mut other.heard_by);
        } else {
            heard_by.extend(reading.heard_by);
        }
        other.heard_by = heard_by;
    }

    /// The next reading that has been held long enough, or any if `all`.
    pub fn pop(&mut self, now: Instant, all: bool) -> Option<Reading> {
        let &(since, _) = self.held.first()?;
        let due = all || now.duration_since(since) >= HOLD || self.held.len() > MAX_HELD;
        due.then(|| self.held.remove(0).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::Signal;
    use jiff::Timestamp;
    use metertap_decode::ert::{Kind, Message};
    use metertap_dsp::{Protocol, synth};

    fn reading(receiver: &str, seed: u64, snr_db: f64) -> Reading {
        let frame = synth::random_frame(Protocol::Scm, &mut synth::Random::new(seed));
        Reading {
            time: Timestamp::UNIX_EPOCH,
            offset: 0,
            length: 0,
            receiver: receiver.into(),
            heard_by: vec![receiver.into()],
            frequency_hz: None,
            message: Message::parse(Kind::Scm, &frame).unwrap(),
            signal: Signal {
                offset_hz: 0,
                snr_db,
                level_dbfs: 0.0,
                corrected: 0,
            },
        }
    }

    #[test]
    fn given_two_receivers_that_hear_one_packet_then_the_better_one_is_told_once() {
        let mut merge = Deduplicator::default();
        let now = Instant::now();
        merge.push(reading("roof", 1, 3.0), now);
        merge.push(reading("cellar", 1, 9.0), now);
        merge.push(reading("cellar", 2, 5.0), now);
        assert!(merge.pop(now, false).is_none(), "too early");
        let later = now + HOLD;
        let first = merge.pop(later, false).unwrap();
        assert_eq!((&*first.receiver, first.signal.snr_db), ("cellar", 9.0));
        assert_eq!(first.heard_by.len(), 2);
        assert_eq!(merge.pop(later, false).unwrap().signal.snr_db, 5.0);
        assert!(merge.pop(later, false).is_none());
    }

    #[test]
    fn given_one_receiver_that_hears_a_repeat_then_both_are_told() {
        let mut merge = Deduplicator::default();
        let now = Instant::now();
        merge.push(reading("roof", 1, 3.0), now);
        merge.push(reading("roof", 1, 3.0), now);
        assert!(merge.pop(now, true).is_some() && merge.pop(now, true).is_some());
    }
}
