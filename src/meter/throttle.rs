//! Publishing rate of a meter: every reading, changed readings only, or the newest one per period.

use serde::Deserialize;
use serde::de::{Deserializer, Error};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Meters throttled at once; readings of further ones pass unthrottled.
const MAX_METERS: usize = 10_000;
const EXPECTED: &str = "\"every\", \"change\" or a number of seconds from 1 to 86400";

/// Publishing rate: `"every"`, `"change"`, or a period in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PublishRate {
    /// Every reading.
    #[default]
    Every,
    /// Readings whose values differ from the last published one.
    Change,
    /// The newest reading, at most once per period.
    Once(Duration),
}

impl<'de> Deserialize<'de> for PublishRate {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "\"every\", \"change\" or a number of seconds")]
        enum RateValue {
            Seconds(f64),
            Word(String),
        }
        match RateValue::deserialize(from)? {
            RateValue::Seconds(s) if (1.0..=86_400.0).contains(&s) => {
                Ok(PublishRate::Once(Duration::from_secs_f64(s)))
            }
            RateValue::Seconds(s) => Err(D::Error::custom(format!("expected {EXPECTED}, found {s}"))),
            RateValue::Word(word) if word == "every" => Ok(PublishRate::Every),
            RateValue::Word(word) if word == "change" => Ok(PublishRate::Change),
            RateValue::Word(word) => Err(D::Error::custom(format!("expected {EXPECTED}, found \"{word}\""))),
        }
    }
}

/// Comparison of readings for [`PublishRate::Change`].
pub trait SameValues {
    /// Returns whether both carry the same values, apart from times and signal quality.
    fn same_values(&self, other: &Self) -> bool;
}

/// Holds readings back until their meter's rate allows them.
///
/// Per meter and message type, readings leave in the order in which they were offered: a reading that leaves replaces
/// an older one that is still held.
pub struct Throttle<T> {
    meters: HashMap<(String, &'static str), Throttled<T>>,
    /// Readings that will never leave.
    dropped: u64,
}

struct Throttled<T> {
    /// When a reading of this meter left last.
    last: Instant,
    /// The reading that left last; kept only for [`PublishRate::Change`].
    published: Option<Arc<T>>,
    /// Newest reading that has not left yet.
    held: Option<Arc<T>>,
    /// Shortest time between two readings.
    period: Duration,
}

impl<T> Default for Throttle<T> {
    fn default() -> Self {
        Throttle {
            meters: HashMap::new(),
            dropped: 0,
        }
    }
}

impl<T: SameValues> Throttle<T> {
    /// Returns `reading` if it may be published now; otherwise drops it ([`PublishRate::Change`]) or holds it until
    /// [`take_due`](Self::take_due) ([`PublishRate::Once`]). `key` is the meter's id and message type.
    pub fn offer(
        &mut self,
        key: (&str, &'static str),
        reading: Arc<T>,
        rate: PublishRate,
        now: Instant,
    ) -> Option<Arc<T>> {
        let key = || (key.0.to_owned(), key.1);
        // The rate may differ from that of the previous reading, after the configuration was reloaded. Whatever the
        // previous rate has held back is older than `reading` and must not leave after it.
        let (period, published) = match rate {
            PublishRate::Every => {
                if !self.meters.is_empty() {
                    let held = self.meters.remove(&key()).and_then(|meter| meter.held);
                    self.dropped += u64::from(held.is_some());
                }
                return Some(reading);
            }
            PublishRate::Change => (Duration::ZERO, Some(reading.clone())),
            PublishRate::Once(period) => (period, None),
        };
        let is_full = self.meters.len() >= MAX_METERS;
        let key = key();
        let Some(meter) = self.meters.get_mut(&key) else {
            if !is_full {
                let meter = Throttled {
                    last: now,
                    published,
                    held: None,
                    period,
                };
                self.meters.insert(key, meter);
            }
            return Some(reading);
        };
        meter.period = period;
        self.dropped += u64::from(meter.held.take().is_some());
        let may_leave = match rate {
            PublishRate::Once(period) => now.duration_since(meter.last) >= period,
            _ => !meter
                .published
                .as_ref()
                .is_some_and(|published| published.same_values(&reading)),
        };
        if may_leave {
            (meter.last, meter.published) = (now, published);
            return Some(reading);
        }
        if let PublishRate::Once(_) = rate {
            meter.held = Some(reading);
        } else {
            self.dropped += 1;
        }
        None
    }

    /// Number of readings that were replaced by newer ones, or differed too little from the one before.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Takes the held readings whose period is over.
    pub fn take_due(&mut self, now: Instant) -> Vec<Arc<T>> {
        let due = self
            .meters
            .values_mut()
            .filter(|meter| meter.held.is_some() && now.duration_since(meter.last) >= meter.period);
        due.filter_map(|meter| {
            // What `published` held is no longer the last one: after a change to `"change"` the next one must leave.
            (meter.last, meter.published) = (now, None);
            meter.held.take()
        })
        .collect()
    }

    /// Takes all held readings, due or not, at the end of the process.
    pub fn drain(&mut self) -> Vec<Arc<T>> {
        self.meters
            .values_mut()
            .filter_map(|meter| meter.held.take())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl SameValues for i32 {
        fn same_values(&self, other: &Self) -> bool {
            self == other
        }
    }

    const MINUTE: PublishRate = PublishRate::Once(Duration::from_secs(60));

    /// A throttle with one meter, at seconds since its start.
    struct Fixture {
        throttle: Throttle<i32>,
        start: Instant,
    }

    impl Fixture {
        fn new() -> Self {
            Fixture {
                throttle: Throttle::default(),
                start: Instant::now(),
            }
        }

        fn at(&self, second: u64) -> Instant {
            self.start + Duration::from_secs(second)
        }

        fn offer(&mut self, second: u64, value: i32, rate: PublishRate) -> Option<i32> {
            let now = self.at(second);
            let published = self.throttle.offer(("1", "p1"), Arc::new(value), rate, now);
            published.map(|value| *value)
        }

        fn due(&mut self, second: u64) -> Vec<i32> {
            let now = self.at(second);
            self.throttle.take_due(now).iter().map(|value| **value).collect()
        }
    }

    #[test]
    fn given_a_period_then_the_first_reading_leaves_at_once_and_then_the_newest_of_each_period() {
        let mut meter = Fixture::new();
        assert_eq!(meter.offer(0, 1, MINUTE), Some(1));
        assert_eq!(meter.offer(10, 2, MINUTE), None);
        assert_eq!(meter.offer(20, 3, MINUTE), None);
        assert!(meter.due(59).is_empty());
        assert_eq!(meter.due(60), [3]);
        assert!(meter.due(180).is_empty(), "without readings nothing is due");
        assert_eq!(meter.offer(181, 4, MINUTE), Some(4));
        assert_eq!(meter.offer(182, 5, MINUTE), None);
        assert_eq!(meter.throttle.drain(), [Arc::new(5)]);
    }

    #[test]
    fn given_change_then_only_readings_with_other_values_leave() {
        let mut meter = Fixture::new();
        let published = [1, 1, 2, 1].map(|value| meter.offer(0, value, PublishRate::Change));
        assert_eq!(published, [Some(1), None, Some(2), Some(1)]);
    }

    #[test]
    fn given_a_held_reading_when_the_rate_becomes_every_then_it_does_not_follow_newer_ones() {
        let mut meter = Fixture::new();
        meter.offer(0, 1, MINUTE);
        assert_eq!(meter.offer(10, 2, MINUTE), None);
        assert_eq!(meter.offer(20, 3, PublishRate::Every), Some(3));
        assert!(meter.due(100).is_empty());
    }

    #[test]
    fn given_a_held_reading_when_the_rate_becomes_change_then_it_does_not_follow_newer_ones() {
        let mut meter = Fixture::new();
        meter.offer(0, 1, MINUTE);
        assert_eq!(meter.offer(10, 2, MINUTE), None);
        assert_eq!(meter.offer(20, 3, PublishRate::Change), Some(3));
        assert!(meter.due(100).is_empty());
        assert_eq!(meter.offer(101, 3, PublishRate::Change), None);
    }

    #[test]
    fn given_a_shorter_period_after_a_reload_then_a_held_reading_leaves_after_that() {
        let mut meter = Fixture::new();
        meter.offer(0, 1, MINUTE);
        assert_eq!(meter.offer(1, 2, PublishRate::Once(Duration::from_secs(5))), None);
        assert_eq!(meter.due(5), [2]);
    }

    #[test]
    fn given_change_then_a_period_then_change_again_then_values_are_compared_with_the_last_published_ones() {
        let mut meter = Fixture::new();
        meter.offer(0, 1, PublishRate::Change);
        assert_eq!(meter.offer(1, 2, MINUTE), None);
        assert_eq!(meter.due(60), [2]);
        assert_eq!(meter.offer(61, 1, PublishRate::Change), Some(1));
    }

    #[test]
    fn rates_are_words_or_seconds() {
        #[derive(Debug, Deserialize)]
        struct Section {
            rate: PublishRate,
        }
        let read = |text: &str| toml::from_str::<Section>(text).map(|section| section.rate);
        assert_eq!(read("rate = \"change\"").unwrap(), PublishRate::Change);
        assert_eq!(
            read("rate = 30").unwrap(),
            PublishRate::Once(Duration::from_secs(30))
        );
        let error = read("rate = \"often\"").unwrap_err();
        assert!(error.message().contains("seconds"), "{error}");
        assert!(read("rate = 0").is_err());
    }
}
