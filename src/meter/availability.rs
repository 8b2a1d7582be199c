//! Availability of meters: online while they transmit, offline after a silence that is configured or learned.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Meters tracked at once; further ones are always considered online. A home has some dozens.
const MAX_METERS: usize = 1000;
/// Without a configured limit, a meter is offline after this many of its mean intervals between transmissions, so that a
/// run of lost packets does not count as silence.
const MISSED_INTERVALS: u32 = 20;
/// Lower bound of the learned limit.
const MIN_LEARNED: Duration = Duration::from_secs(3600);
/// Transmissions needed before an interval is learned.
const MIN_TRANSMISSIONS: u32 = 3;
/// Messages closer than this belong to one transmission: a meter may send several types in one burst.
const SAME_TRANSMISSION: Duration = Duration::from_millis(500);

/// Transition of one meter between online and offline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AvailabilityChange {
    /// Meter id.
    pub id: String,
    /// New state.
    pub is_online: bool,
}

/// Tracks when each meter was received last.
#[derive(Default)]
pub struct Availability {
    meters: BTreeMap<String, Tracked>,
}

struct Tracked {
    first: Instant,
    last: Instant,
    /// Transmissions so far; none of a meter that is expected and has not been received.
    transmissions: u32,
    /// Limit from the configuration.
    expire_after: Option<Duration>,
    /// As last reported; nothing of a meter that has not been received and is not overdue.
    is_online: Option<bool>,
}

impl Tracked {
    /// Longest silence of an online meter; `None` while neither configured nor learned.
    fn limit(&self) -> Option<Duration> {
        self.expire_after.or_else(|| {
            if self.transmissions < MIN_TRANSMISSIONS {
                return None;
            }
            let mean = self.last.duration_since(self.first) / (self.transmissions - 1);
            Some((mean * MISSED_INTERVALS).max(MIN_LEARNED))
        })
    }
}

impl Availability {
    /// Expects messages of a configured meter with a limit from now on: it is offline if none comes, whatever an earlier process
    /// has published of it.
    pub fn expect(&mut self, id: &str, expire_after: Duration, now: Instant) {
        if let Some(meter) = self.meters.get_mut(id) {
            meter.expire_after = Some(expire_after);
        } else if self.meters.len() < MAX_METERS {
            let meter = Tracked {
                first: now,
                last: now,
                transmissions: 0,
                expire_after: Some(expire_after),
                is_online: None,
            };
            self.meters.insert(id.to_owned(), meter);
        }
    }

    /// Expects messages of a meter that an earlier process has received, unless this one knows it already.
    pub fn expect_unheard(&mut self, id: &str, expire_after: Duration, now: Instant) {
        if !self.meters.contains_key(id) {
            self.expect(id, expire_after, now);
        }
    }

    /// Forgets a meter that has left the configuration.
    pub fn forget(&mut self, id: &str) {
        self.meters.remove(id);
    }

    /// Records a message of a meter; returns the change if it was offline or unknown. `expire_after` is the configured
    /// limit, which replaces the learned one.
    pub fn seen(
        &mut self,
        id: &str,
        expire_after: Option<Duration>,
        now: Instant,
    ) -> Option<AvailabilityChange> {
        let is_full = self.meters.len() >= MAX_METERS;
        let online = AvailabilityChange {
            id: id.to_owned(),
            is_online: true,
        };
        let Some(meter) = self.meters.get_mut(id) else {
            if is_full {
                return None;
            }
            let meter = Tracked {
                first: now,
                last: now,
                transmissions: 1,
                expire_after,
                is_online: Some(true),
            };
            self.meters.insert(id.to_owned(), meter);
            return Some(online);
        };
        if meter.transmissions == 0 {
            (meter.first, meter.last, meter.transmissions) = (now, now, 1);
        } else if now.duration_since(meter.last) > SAME_TRANSMISSION {
            meter.transmissions += 1;
            meter.last = now;
        }
        meter.expire_after = expire_after;
        (meter.is_online.replace(true) != Some(true)).then_some(online)
    }

    /// Returns the current state of every meter, for a sink that has just been started.
    pub fn states(&self) -> Vec<AvailabilityChange> {
        let state = |(id, meter): (&String, &Tracked)| {
            Some(AvailabilityChange {
                id: id.clone(),
                is_online: meter.is_online?,
            })
        };
        self.meters.iter().filter_map(state).collect()
    }

    /// Marks meters that have been silent for too long as offline, and returns them.
    pub fn expired(&mut self, now: Instant) -> Vec<AvailabilityChange> {
        let expired = self.meters.iter_mut().filter(|(_, meter)| {
            let silence = now.duration_since(meter.last);
            meter.is_online != Some(false) && meter.limit().is_some_and(|limit| silence > limit)
        });
        expired
            .map(|(id, meter)| {
                meter.is_online = Some(false);
                AvailabilityChange {
                    id: id.clone(),
                    is_online: false,
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_limit_then_a_meter_is_offline_after_it_and_online_with_its_next_message() {
        let (mut availability, start) = (Availability::default(), Instant::now());
        let at = |s| start + Duration::from_secs(s);
        let limit = Some(Duration::from_secs(60));
        let change = |is_online| AvailabilityChange {
            id: "1".into(),
            is_online,
        };
        assert_eq!(availability.seen("1", limit, at(0)), Some(change(true)));
        assert_eq!(availability.seen("1", limit, at(30)), None);
        assert_eq!(availability.expired(at(90)), []);
        assert_eq!(availability.expired(at(91)), [change(false)]);
        assert_eq!(availability.expired(at(92)), [], "reported once");
        assert_eq!(availability.states(), [change(false)]);
        assert_eq!(availability.seen("1", limit, at(93)), Some(change(true)));
    }

    #[test]
    fn given_a_meter_that_is_never_received_then_it_is_offline_after_its_limit_and_unknown_before() {
        let (mut availability, start) = (Availability::default(), Instant::now());
        let at = |s| start + Duration::from_secs(s);
        let change = |is_online| AvailabilityChange {
            id: "1".into(),
            is_online,
        };
        availability.expect("1", Duration::from_secs(60), at(0));
        assert_eq!(
            (availability.states(), availability.expired(at(60))),
            (vec![], vec![])
        );
        assert_eq!(availability.expired(at(61)), [change(false)]);
        assert_eq!(availability.seen("1", None, at(70)), Some(change(true)));
        availability.expect("2", Duration::from_secs(60), at(0));
        let limit = Some(Duration::from_secs(60));
        assert!(availability.seen("2", limit, at(50)).is_some(), "online at first");
        availability.forget("2");
        assert_eq!(availability.expired(at(1000)), []);
    }

    #[test]
    fn given_no_limit_then_it_is_learned_from_the_intervals_between_transmissions() {
        let (mut availability, start) = (Availability::default(), Instant::now());
        let at = |s| start + Duration::from_secs(s);
        availability.seen("rare", None, at(0));
        assert_eq!(
            availability.expired(at(1_000_000)),
            [],
            "one transmission has no interval"
        );
        for i in 0..4 {
            availability.seen("frequent", None, at(i * 600));
        }
        assert_eq!(availability.expired(at(1800 + 12_000)), []);
        assert_eq!(availability.expired(at(1800 + 12_001)).len(), 1);
    }
}
