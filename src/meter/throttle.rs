//! How often a meter's readings are passed on: each, only when something has changed, or the last one every so often.

use serde::Deserialize;
use serde::de::{Deserializer, Error};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Meters whose last reading is kept; readings of others are passed on as they come.
const MAX_METERS: usize = 10_000;

/// `"every"`, `"change"`, or a number of seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rate {
    /// Each reading.
    #[default]
    Every,
    /// When a value differs from the last one that was passed on.
    Change,
    /// The last one, once in so long.
    Once(Duration),
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "\"every\", \"change\" or a number of seconds")]
        enum Written {
            Seconds(f64),
            Word(String),
        }
        match Written::deserialize(from)? {
            Written::Seconds(s) if (1.0..=86_400.0).contains(&s) => {
                Ok(Rate::Once(Duration::from_secs_f64(s)))
            }
            Written::Seconds(s) => Err(D::Error::custom(format!(
                "{s} must be between 1 and 86400 seconds"
            ))),
            Written::Word(word) if word == "every" => Ok(Rate::Every),
            Written::Word(word) if word == "change" => Ok(Rate::Change),
            Written::Word(word) => Err(D::Error::custom(format!(
                "\"{word}\": \"every\", \"change\" or a number of seconds"
            ))),
        }
    }
}

/// Holds back what need not be told yet.
pub struct Throttle<T> {
    meters: HashMap<(String, &'static str), Memory<T>>,
}

struct Memory<T> {
    told: Instant,
    /// What the last one that was told said.
    said: String,
    held: Option<T>,
    every: Duration,
}

impl<T> Default for Throttle<T> {
    fn default() -> Self {
        Throttle {
            meters: HashMap::new(),
        }
    }
}

impl<T> Throttle<T> {
    /// Gives `reading` back if it is to be told now; `said` is what it says, without time and signal, and is asked for
    /// only where that matters.
    pub fn pass(
        &mut self,
        key: (&str, &'static str),
        said: impl FnOnce() -> String,
        reading: T,
        rate: Rate,
        now: Instant,
    ) -> Option<T> {
        let key = (key.0.to_owned(), key.1);
        let is_crowded = self.meters.len() >= MAX_METERS;
        let (every, said) = match rate {
            Rate::Once(every) => (every, String::new()),
            Rate::Every => return Some(reading),
            Rate::Change => (Duration::ZERO, said()),
        };
        let Some(memory) = self.meters.get_mut(&key) else {
            if !is_crowded {
                let memory = Memory {
                    told: now,
                    said,
                    held: None,
                    every,
                };
                self.meters.insert(key, memory);
            }
            return Some(reading);
        };
        let is_due = match rate {
            Rate::Change => memory.said != said,
            _ => now.duration_since(memory.told) >= every,
        };
        if is_due {
            (memory.told, memory.said, memory.held) = (now, said, None);
            return Some(reading);
        }
        if rate != Rate::Change {
            memory.held = Some(reading);
        }
        None
    }

    /// Those that were held back until now.
    pub fn due(&mut self, now: Instant) -> Vec<T> {
        let due = self
            .meters
            .values_mut()
            .filter(|memory| memory.held.is_some() && now.duration_since(memory.told) >= memory.every);
        due.filter_map(|memory| {
            memory.told = now;
            memory.held.take()
        })
        .collect()
    }

    /// All that is held back: there is no later.
    pub fn rest(&mut self) -> Vec<T> {
        self.meters
            .values_mut()
            .filter_map(|memory| memory.held.take())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_every_so_often_then_the_first_comes_at_once_and_then_the_last_of_each_span() {
        let (mut pace, begun) = (Throttle::default(), Instant::now());
        let at = |s| begun + Duration::from_secs(s);
        let rate = Rate::Once(Duration::from_secs(60));
        let mut pass = |s, n| pace.pass(("1", "p1"), String::new, n, rate, at(s));
        assert_eq!(pass(0, 1), Some(1));
        assert_eq!(pass(10, 2), None);
        assert_eq!(pass(20, 3), None);
        assert!(pace.due(at(59)).is_empty());
        assert_eq!(pace.due(at(60)), [3]);
        assert!(pace.due(at(180)).is_empty(), "silence is not filled");
        assert_eq!(pace.pass(("1", "p1"), String::new, 4, rate, at(181)), Some(4));
        assert_eq!(pace.pass(("1", "p1"), String::new, 5, rate, at(182)), None);
        assert_eq!(pace.rest(), [5]);
    }

    #[test]
    fn given_on_change_then_only_what_differs_is_told() {
        let (mut pace, now) = (Throttle::default(), Instant::now());
        let mut pass = |said: &str| {
            pace.pass(("1", "p1"), || said.to_owned(), (), Rate::Change, now)
                .is_some()
        };
        assert_eq!(
            [pass("a"), pass("a"), pass("b"), pass("a")],
            [true, false, true, true]
        );
    }

    #[test]
    fn rates_are_read_as_people_write_them() {
        #[derive(Debug, Deserialize)]
        struct Section {
            rate: Rate,
        }
        let read = |text: &str| toml::from_str::<Section>(text).map(|section| section.rate);
        assert_eq!(read("rate = \"change\"").unwrap(), Rate::Change);
        assert_eq!(read("rate = 30").unwrap(), Rate::Once(Duration::from_secs(30)));
        assert!(
            read("rate = \"often\"")
                .unwrap_err()
                .message()
                .contains("seconds")
        );
        assert!(read("rate = 0").is_err());
    }
}
