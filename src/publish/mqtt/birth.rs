//! The message that says on each connection that this client is online, and what to do about a broker that does not accept it:
//! readings must flow without it.

use crate::publish::message::Message;
use crate::publish::mqtt::waiting::HUNG_UP;
use std::time::{Duration, Instant};

/// Failures after which a connection is tried without it.
const TRIES: u8 = 3;
/// Time after which one that the broker does not accept is tried again.
const PAUSE: Duration = Duration::from_secs(600);

/// The birth message.
pub(crate) struct Birth {
    message: Option<Message>,
    failures: u8,
    refused_until: Option<Instant>,
    skips_once: bool,
}

impl Birth {
    pub fn new(message: Option<Message>) -> Self {
        Birth {
            message,
            failures: 0,
            refused_until: None,
            skips_once: false,
        }
    }

    /// Message with which the next connection begins.
    pub fn begin(&mut self, now: Instant) -> Option<Message> {
        let skips = std::mem::take(&mut self.skips_once);
        let is_refused = self.refused_until.is_some_and(|until| now < until);
        let is_due = !skips && !is_refused && self.failures < TRIES;
        self.message.clone().filter(|_| is_due)
    }

    /// The next connection begins without it.
    pub fn skip_once(&mut self, skips: bool) {
        self.skips_once = skips;
    }

    /// The broker has accepted it.
    pub fn accepted(&mut self) {
        (self.failures, self.refused_until) = (0, None);
    }

    /// The broker has refused it.
    pub fn refused(&mut self, now: Instant) {
        self.refused_until = Some(now + PAUSE);
    }

    /// The connection broke at it, or at something that the broker would have said first.
    pub fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    /// The failures were not its fault.
    pub fn forgive(&mut self) {
        self.failures = 0;
    }

    /// Without it, the broker has accepted another message.
    pub fn other_accepted(&mut self, now: Instant) {
        if self.failures < TRIES {
            return;
        }
        self.failures = 0;
        self.refused(now);
        let topic = self.message.as_ref().map_or("", |birth| birth.topic.as_str());
        tracing::error!(
            topic,
            reason = HUNG_UP,
            "The broker does not accept the birth message; the status on it will be wrong"
        );
    }
}
