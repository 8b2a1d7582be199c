//! IDM's 47 intervals as a series: each five minutes once, and those that were missed filled in from later messages.

use jiff::{SignedDuration, Timestamp};
use metertap_decode::ert::Idm;
use std::collections::HashMap;

/// Meters remembered.
const MAX_METERS: usize = 1000;
/// An interval (PROTOCOLS-rf.md 2.3).
pub const INTERVAL_S: i64 = 300;

/// Five minutes of one meter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interval {
    /// When they ended.
    pub end: Timestamp,
    /// Counts in them.
    pub counts: u16,
    /// The counter at their end.
    pub total: i64,
    /// They were heard of only later.
    pub is_filled_in: bool,
}

/// Remembers which intervals were told.
#[derive(Default)]
pub struct Intervals {
    /// Of each meter: when the newest one that was told ended, and its number modulo 256.
    newest: HashMap<u32, (Timestamp, u8)>,
}

impl Intervals {
    /// The intervals of a message that were not told yet, oldest first. `heard`: when it was sent.
    pub fn new_of(&mut self, message: &Idm, heard: Timestamp) -> Vec<Interval> {
        let offset = SignedDuration::from_millis(i64::from(message.transmit_time_offset) * 1000 / 16);
        let Ok(end) = heard.checked_sub(offset) else {
            return Vec::new();
        };
        let meter = message.ert_serial_number;
        let is_crowded = self.newest.len() >= MAX_METERS && !self.newest.contains_key(&meter);
        let all = message.differential_consumption_intervals.len();
        let count = match self.newest.get(&meter) {
            None => all,
            Some((told, number)) => {
                let since = message.consumption_interval_count.wrapping_sub(*number);
                // The count wraps after 21 hours; after a longer silence the clock decides.
                let by_clock = end.duration_since(*told).as_secs_f64() / INTERVAL_S as f64;
                let wraps = ((by_clock - f64::from(since)) / 256.0).round().max(0.0);
                (f64::from(since) + 256.0 * wraps).min(all as f64) as usize
            }
        };
        if count > 0 && !is_crowded {
            self.newest
                .insert(meter, (end, message.consumption_interval_count));
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

#[cfg(test)]
mod tests {
    use super::*;
    use metertap_decode::ert::{Kind, Message};

    /// A documented IDM (PROTOCOLS-rf.md 11): intervals 0 to 46, newest 0; sent 29.75 s after the newest ended.
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

    fn heard(seconds: i64) -> Timestamp {
        "2026-01-15T12:00:29.75Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
    }

    #[test]
    fn given_the_first_message_then_all_47_come_oldest_first_with_the_counter_at_their_ends() {
        let mut intervals = Intervals::default();
        let told = intervals.new_of(&message(10), heard(0));
        assert_eq!(told.len(), 47);
        let (first, last) = (&told[0], &told[46]);
        assert_eq!(last.end.to_string(), "2026-01-15T12:00:00Z");
        assert_eq!(first.end.to_string(), "2026-01-15T08:10:00Z");
        assert_eq!((last.counts, last.total, last.is_filled_in), (0, 974_588, false));
        assert_eq!((first.counts, first.is_filled_in), (46, true));
        assert_eq!(first.total, 974_588 - (0..46).sum::<i64>());
    }

    #[test]
    fn given_messages_of_the_same_interval_then_nothing_is_told_twice() {
        let mut intervals = Intervals::default();
        intervals.new_of(&message(10), heard(0));
        assert_eq!(intervals.new_of(&message(10), heard(30)), []);
        assert_eq!(intervals.new_of(&message(11), heard(300)).len(), 1);
    }

    #[test]
    fn given_missed_messages_then_the_gap_is_filled_and_never_more_than_a_message_holds() {
        for (later, count, told) in [
            (3, 13, 3),
            (46, 56, 46),
            (256, 10, 47),
            (257, 11, 47),
            (300, 54, 47),
        ] {
            let mut intervals = Intervals::default();
            intervals.new_of(&message(10), heard(0));
            let filled = intervals.new_of(&message(count), heard(later * INTERVAL_S));
            assert_eq!(filled.len(), told, "{later}");
        }
    }
}
