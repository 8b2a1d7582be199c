//! Merges the copies of a packet that several receivers deliver into one reading with the best signal.

use crate::meter::Reading;
use jiff::SignedDuration;
use std::time::{Duration, Instant};

/// How long a reading waits for copies from other receivers, which lag by a block of samples or two.
const HOLD: Duration = Duration::from_millis(300);
/// Largest difference between the times of two copies: sample clocks follow the arrival of blocks, which is later by the
/// latency of the USB bus or the network, and agree to some milliseconds on one machine.
const MAX_TIME_DIFFERENCE: SignedDuration = SignedDuration::from_millis(500);
/// Readings waiting at once; beyond that the oldest leave early.
const MAX_HELD: usize = 1024;

/// Queue of readings that wait for copies from other receivers.
#[derive(Default)]
pub struct Deduplicator {
    /// Readings in the order of their arrival, which is the order in which they leave. A merged reading keeps the
    /// place of its first copy.
    held: Vec<(Instant, Reading)>,
    merged: u64,
}

impl Deduplicator {
    /// Adds a reading, or merges it with a waiting copy from another receiver.
    pub fn push(&mut self, reading: Reading, now: Instant) {
        // Two equal messages of one receiver are two transmissions, never copies.
        let is_copy = |other: &Reading| {
            other.message == reading.message
                && !other.heard_by.iter().any(|name| reading.heard_by.contains(name))
                && other.time.duration_since(reading.time).abs() < MAX_TIME_DIFFERENCE
        };
        let Some((_, other)) = self.held.iter_mut().find(|(_, other)| is_copy(other)) else {
            self.held.push((now, reading));
            return;
        };
        self.merged += 1;
        let mut heard_by = std::mem::take(&mut other.heard_by);
        if reading.signal.snr_db > other.signal.snr_db {
            *other = reading;
            heard_by.append(&mut other.heard_by);
        } else {
            heard_by.extend(reading.heard_by);
        }
        other.heard_by = heard_by;
    }

    /// Number of copies that became part of another reading.
    pub fn merged(&self) -> u64 {
        self.merged
    }

    /// Removes the oldest reading once it has waited long enough, or at once if `flush`.
    pub fn pop(&mut self, now: Instant, flush: bool) -> Option<Reading> {
        let &(since, _) = self.held.first()?;
        let is_due = flush || now.duration_since(since) >= HOLD || self.held.len() > MAX_HELD;
        is_due.then(|| self.held.remove(0).1)
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
            frame: Default::default(),
            message: Message::parse(Kind::Scm, &frame).unwrap(),
            signal: Signal {
                offset_hz: 0,
                snr_db,
                level_dbfs: 0.0,
                corrected: 0,
                clock_ppm: Some(0),
                ..Signal::default()
            },
        }
    }

    #[test]
    fn given_one_packet_at_two_receivers_then_one_reading_with_the_better_signal_leaves() {
        let mut merge = Deduplicator::default();
        let now = Instant::now();
        merge.push(reading("roof", 1, 3.0), now);
        merge.push(reading("cellar", 1, 9.0), now);
        merge.push(reading("cellar", 2, 5.0), now);
        assert!(merge.pop(now, false).is_none(), "too early");
        let later = now + HOLD;
        let first = merge.pop(later, false).unwrap();
        assert_eq!((&*first.receiver, first.signal.snr_db), ("cellar", 9.0));
        assert_eq!((first.heard_by.len(), merge.merged()), (2, 1));
        assert_eq!(merge.pop(later, false).unwrap().signal.snr_db, 5.0);
        assert!(merge.pop(later, false).is_none());
    }

    #[test]
    fn given_a_repetition_at_one_receiver_then_both_readings_leave() {
        let mut merge = Deduplicator::default();
        let now = Instant::now();
        merge.push(reading("roof", 1, 3.0), now);
        merge.push(reading("roof", 1, 3.0), now);
        assert!(merge.pop(now, true).is_some() && merge.pop(now, true).is_some());
    }
}
