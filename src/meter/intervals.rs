//! Series of IDM intervals: each IDM repeats the last 47 intervals of five minutes; here each is reported once, and the
//! ones of missed messages are filled in from later messages.

use jiff::{SignedDuration, Timestamp};
use metertap_decode::ert::Idm;
use std::collections::HashMap;

/// Meters tracked at once; further ones have all their intervals reported with every message.
const MAX_METERS: usize = 1000;
/// Length of an interval in seconds.
pub const INTERVAL_S: i64 = 300;
/// A message can be late by a few intervals (another receiver, a replayed recording), never by more than it holds; if
/// the clock goes back further, it was set.
const MAX_LATE: f64 = 47.0;

/// One interval of one meter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interval {
    /// End of the interval.
    pub end: Timestamp,
    /// Counts within the interval.
    pub counts: u16,
    /// Counter at the end of the interval.
    pub total: i64,
    /// The interval ended before the newest one of the message that reported it.
    pub is_filled_in: bool,
}

/// Newest reported interval of a meter.
#[derive(Clone, Copy)]
struct Newest {
    end: Timestamp,
    /// The meter's count of intervals, modulo 256.
    number: u8,
}

/// Tracks which intervals were reported.
#[derive(Default)]
pub struct Intervals {
    newest: HashMap<u32, Newest>,
}

impl Intervals {
    /// Returns the intervals of `message` that were not reported yet, oldest first. `received` is the start of the
    /// packet.
    pub fn unpublished(&mut self, message: &Idm, received: Timestamp) -> Vec<Interval> {
        // The offset counts sixteenths of a second since the newest interval ended.
        let offset = SignedDuration::from_millis(i64::from(message.transmit_time_offset) * 1000 / 16);
        let Ok(end) = received.checked_sub(offset) else {
            return Vec::new();
        };
        let meter = message.ert_serial_number;
        let newest = Newest {
            end,
            number: message.consumption_interval_count,
        };
        let is_full = self.newest.len() >= MAX_METERS && !self.newest.contains_key(&meter);
        let all = message.differential_consumption_intervals.len();
        let count = match self.newest.get(&meter) {
            None => all,
            Some(reported) => new_intervals(*reported, newest).min(all),
        };
        if count > 0 && !is_full {
            self.newest.insert(meter, newest);
        }
        let mut intervals = Vec::with_capacity(count);
        let mut total = i64::from(message.last_consumption_count);
        for (age, counts) in (0i64..).zip(message.differential_consumption_intervals.iter().take(count)) {
            let Ok(end) = end.checked_sub(SignedDuration::from_secs(age * INTERVAL_S)) else {
                break;
            };
            intervals.push(Interval {
                end,
                counts: *counts,
                total,
                is_filled_in: age > 0,
            });
            total -= i64::from(*counts);
        }
        intervals.reverse();
        intervals
    }
}

/// Number of intervals from `reported` to `newest`; 0 for a message that is not newer.
fn new_intervals(reported: Newest, newest: Newest) -> usize {
    // The counts give the exact distance modulo 256 (21 hours); the clock, which may be off by part of an interval,
    // tells how many times 256 to add. For a message that arrives late, that is -1: count 9 after count 10 is not 255
    // intervals newer but one older.
    let modulo = f64::from(newest.number.wrapping_sub(reported.number));
    let by_clock = newest.end.duration_since(reported.end).as_secs_f64() / INTERVAL_S as f64;
    let distance = modulo + 256.0 * ((by_clock - modulo) / 256.0).round();
    if distance < -MAX_LATE {
        return usize::MAX;
    }
    // Saturates at 0.
    distance as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use metertap_decode::ert::{Kind, Message};

    /// An IDM with intervals 0 to 46, newest 0; sent 29.75 s after the newest ended.
    fn message(count: u8) -> Idm {
        const IDM: &str = "555516A31C5CC6041700BC614EF6BC0102030405061234A1B2C3D4E5F6000EDEFC000040403020140C0704024140B060341C0F0804424130A0542C170C064341B0E0743C1F100844423120944C27140A4542B160B45C01DC61B0AB9A";
        let Message::Idm(mut idm) = Message::parse(
            Kind::Idm,
            &data_encoding::HEXUPPER.decode(IDM.as_bytes()).unwrap(),
        )
        .unwrap() else {
            panic!("an IDM");
        };
        idm.consumption_interval_count = count;
        idm
    }

    fn at(seconds: i64) -> Timestamp {
        "2026-01-15T12:00:29.75Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
    }

    #[test]
    fn given_the_first_message_then_all_47_come_oldest_first_with_the_counter_at_their_ends() {
        let mut tracker = Intervals::default();
        let intervals = tracker.unpublished(&message(10), at(0));
        assert_eq!(intervals.len(), 47);
        let (first, last) = (&intervals[0], &intervals[46]);
        assert_eq!(last.end.to_string(), "2026-01-15T12:00:00Z");
        assert_eq!(first.end.to_string(), "2026-01-15T08:10:00Z");
        assert_eq!((last.counts, last.total, last.is_filled_in), (0, 974_588, false));
        assert_eq!((first.counts, first.is_filled_in), (46, true));
        assert_eq!(first.total, 974_588 - (0..46).sum::<i64>());
    }

    #[test]
    fn given_messages_of_the_same_interval_then_it_is_reported_once() {
        let mut tracker = Intervals::default();
        tracker.unpublished(&message(10), at(0));
        assert_eq!(tracker.unpublished(&message(10), at(30)), []);
        assert_eq!(tracker.unpublished(&message(11), at(300)).len(), 1);
    }

    #[test]
    fn given_missed_messages_then_the_gap_is_filled_with_at_most_one_message() {
        for (later, count, reported) in [
            (3, 13, 3),
            (46, 56, 46),
            (256, 10, 47),
            (257, 11, 47),
            (300, 54, 47),
        ] {
            let mut tracker = Intervals::default();
            tracker.unpublished(&message(10), at(0));
            let filled = tracker.unpublished(&message(count), at(later * INTERVAL_S));
            assert_eq!(filled.len(), reported, "{later}");
        }
    }

    #[test]
    fn given_a_message_of_an_earlier_interval_after_a_newer_one_then_no_interval_is_repeated() {
        for late in [1, 2, 46] {
            let mut tracker = Intervals::default();
            tracker.unpublished(&message(50), at(0));
            let earlier = tracker.unpublished(&message(50 - late), at(-i64::from(late) * INTERVAL_S));
            assert_eq!(earlier, [], "{late}");
            assert_eq!(
                tracker.unpublished(&message(51), at(INTERVAL_S)).len(),
                1,
                "{late}"
            );
        }
    }

    #[test]
    fn given_a_clock_that_was_set_back_then_the_series_begins_anew() {
        let mut tracker = Intervals::default();
        tracker.unpublished(&message(10), at(0));
        assert_eq!(tracker.unpublished(&message(11), at(-86_400)).len(), 47);
        assert_eq!(tracker.unpublished(&message(12), at(-86_100)).len(), 1);
    }
}
