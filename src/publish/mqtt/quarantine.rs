//! Topics whose messages the broker does not accept: after several refusals in a row they are not even tried for a while.
//!
//! Some brokers close the connection at a message that their access list forbids. Each attempt then interrupts all other
//! messages, so attempts must become rare.

use crate::publish::message::Message;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Attempts at a message before it is suspected.
const TRIES: u8 = 3;
/// Refusals in a row after which a family is blocked.
const MAX_REFUSED: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// Families that are remembered; further ones are not blocked.
const MAX_FAMILIES: usize = 1024;

/// Families with refusals.
#[derive(Debug, Default)]
pub(crate) struct Quarantine {
    families: HashMap<String, Family>,
}

#[derive(Debug, Default)]
struct Family {
    /// Refused in a row.
    refused: u32,
    blocked_until: Option<Instant>,
}

/// Messages that are probably refused together: readings of one topic, other messages below one first level.
fn family(topic: &str, is_reading: bool) -> String {
    match is_reading {
        true => format!("reading {topic}"),
        false => format!("other {}", topic.split('/').next().unwrap_or_default()),
    }
}

impl Quarantine {
    /// Number of attempts before `message` is suspected: fewer if others of its family were refused.
    pub fn tries(&self, message: &Message) -> u8 {
        match self.family(&message.topic, message.is_reading()) {
            None => TRIES,
            Some(_) => 1,
        }
    }

    /// Returns true if `message` should not be tried now.
    pub fn is_blocked(&self, message: &Message, now: Instant) -> bool {
        let family = self.family(&message.topic, message.is_reading());
        family
            .and_then(|family| family.blocked_until)
            .is_some_and(|until| now < until)
    }

    fn family(&self, topic: &str, is_reading: bool) -> Option<&Family> {
        if self.families.is_empty() {
            return None;
        }
        self.families.get(&family(topic, is_reading))
    }

    /// Records that the broker has accepted a message on `topic`.
    pub fn accepted(&mut self, topic: &str, is_reading: bool) {
        if !self.families.is_empty() {
            self.families.remove(&family(topic, is_reading));
        }
    }

    /// Records that the broker refuses a message on `topic`. Returns true if it is the first of its family.
    pub fn refused(&mut self, topic: &str, is_reading: bool, now: Instant) -> bool {
        let key = family(topic, is_reading);
        if self.families.len() >= MAX_FAMILIES && !self.families.contains_key(&key) {
            return false;
        }
        let family = self.families.entry(key).or_default();
        family.refused += 1;
        if family.refused >= MAX_REFUSED {
            let doublings = (family.refused - MAX_REFUSED).min(16);
            let pause = (FIRST_PAUSE * (1 << doublings)).min(LONGEST_PAUSE);
            family.blocked_until = Some(now + pause);
        }
        family.refused == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::message::DeliveryClass;

    #[test]
    fn given_refusals_in_a_row_then_the_topic_is_blocked_for_longer_and_longer_until_one_is_accepted() {
        let mut quarantine = Quarantine::default();
        let message = Message::reading("readings/1/scm", "{}", false);
        let mut now = Instant::now();
        assert_eq!(quarantine.tries(&message), TRIES);
        assert!(quarantine.refused(&message.topic, true, now));
        assert!(!quarantine.is_blocked(&message, now) && quarantine.tries(&message) == 1);
        quarantine.refused(&message.topic, true, now);
        for pause in [10, 20, 40] {
            assert!(!quarantine.refused(&message.topic, true, now));
            assert!(quarantine.is_blocked(&message, now));
            now += Duration::from_secs(pause);
            assert!(!quarantine.is_blocked(&message, now));
        }
        quarantine.accepted(&message.topic, true);
        assert_eq!(quarantine.tries(&message), TRIES);
    }

    #[test]
    fn given_refused_announcements_then_those_beside_them_are_blocked_and_readings_are_not() {
        let mut quarantine = Quarantine::default();
        let now = Instant::now();
        let announcement =
            |i: u32| Message::retained(format!("ha/{i}/config"), "{}", DeliveryClass::Announcement);
        for i in 0..3 {
            quarantine.refused(&announcement(i).topic, false, now);
        }
        assert!(quarantine.is_blocked(&announcement(7), now));
        assert!(!quarantine.is_blocked(&Message::reading("ha/1", "{}", false), now));
        assert!(!quarantine.is_blocked(&Message::retained("x/1", "{}", DeliveryClass::State), now));
    }
}
