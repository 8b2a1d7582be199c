//! Which meters speak, and which have fallen silent.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Meters watched.
const MAX_METERS: usize = 1000;
/// A meter that nothing is said of is silent after so many of its usual spans,
const SPANS: u32 = 20;
/// but not before so long.
const LEAST: Duration = Duration::from_secs(3600);

/// A meter is there, or has fallen silent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AvailabilityChange {
    /// Which.
    pub id: String,
    /// Whether it is there.
    pub speaks: bool,
}

/// Watches.
#[derive(Default)]
pub struct Availability {
    meters: BTreeMap<String, Memory>,
}

struct Memory {
    first: Instant,
    last: Instant,
    times: u32,
    /// As the user says.
    after: Option<Duration>,
    speaks: bool,
}

impl Memory {
    /// How long it may say nothing; it is learned from what it does.
    fn patience(&self) -> Option<Duration> {
        self.after.or_else(|| {
            let spans = self.times.checked_sub(1).filter(|spans| *spans >= 2)?;
            let usual = self.last.duration_since(self.first) / spans;
            Some((usual * SPANS).max(LEAST))
        })
    }
}

impl Availability {
    /// A meter has spoken; `after`: it is silent after so long.
    pub fn heard(&mut self, id: &str, after: Option<Duration>, now: Instant) -> Option<AvailabilityChange> {
        let is_crowded = self.meters.len() >= MAX_METERS;
        let change = AvailabilityChange {
            id: id.to_owned(),
            speaks: true,
        };
        let Some(memory) = self.meters.get_mut(id) else {
            if is_crowded {
                return None;
            }
            let memory = Memory {
                first: now,
                last: now,
                times: 1,
                after,
                speaks: true,
            };
            self.meters.insert(id.to_owned(), memory);
            return Some(change);
        };
        // The span is that of two transmissions, however many types they have.
        if now.duration_since(memory.last) > Duration::from_millis(500) {
            memory.times += 1;
            memory.last = now;
        }
        memory.after = after;
        (!std::mem::replace(&mut memory.speaks, true)).then_some(change)
    }

    /// How all of them are, for who has not listened.
    pub fn all(&self) -> Vec<AvailabilityChange> {
        let change = |(id, memory): (&String, &Memory)| AvailabilityChange {
            id: id.clone(),
            speaks: memory.speaks,
        };
        self.meters.iter().map(change).collect()
    }

    /// Those that have fallen silent.
    pub fn fallen(&mut self, now: Instant) -> Vec<AvailabilityChange> {
        let fallen = self.meters.iter_mut().filter(|(_, memory)| {
            let quiet = now.duration_since(memory.last);
            memory.speaks && memory.patience().is_some_and(|patience| quiet > patience)
        });
        fallen
            .map(|(id, memory)| {
                memory.speaks = false;
                AvailabilityChange {
                    id: id.clone(),
                    speaks: false,
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_time_then_a_meter_is_silent_after_it_and_back_with_its_next_word() {
        let (mut silence, begun) = (Availability::default(), Instant::now());
        let at = |s| begun + Duration::from_secs(s);
        let after = Some(Duration::from_secs(60));
        let change = |speaks| AvailabilityChange {
            id: "1".into(),
            speaks,
        };
        assert_eq!(silence.heard("1", after, at(0)), Some(change(true)));
        assert_eq!(silence.heard("1", after, at(30)), None);
        assert_eq!(silence.fallen(at(90)), []);
        assert_eq!(silence.fallen(at(91)), [change(false)]);
        assert_eq!(silence.fallen(at(92)), [], "told once");
        assert_eq!(silence.heard("1", after, at(93)), Some(change(true)));
    }

    #[test]
    fn given_nothing_then_it_is_learned_from_what_the_meter_does() {
        let (mut silence, begun) = (Availability::default(), Instant::now());
        let at = |s| begun + Duration::from_secs(s);
        silence.heard("seldom", None, at(0));
        assert_eq!(silence.fallen(at(1_000_000)), [], "heard once: nothing is known");
        for i in 0..4 {
            silence.heard("often", None, at(i * 600));
        }
        assert_eq!(silence.fallen(at(1800 + 12_000)), []);
        assert_eq!(silence.fallen(at(1800 + 12_001)).len(), 1);
    }
}
