//! Delivery policy, without I/O: which messages wait for the broker, in which order, and what an acknowledgement or the end
//! of a connection means for them.
//!
//! rumqttc keeps a message only as long as the broker keeps the session, which it seldom does. So every connection gets
//! a client of its own, and each message stays here until its PUBACK:
//!
//! ```text
//!   enqueue ─▶ queued ─ sent_next ─▶ in flight ─ acknowledged ─▶ Settled
//!                ▲                       │
//!                └── connection_lost ────┘
//! ```
//!
//! Readings are handed over in the order in which they were enqueued, and after a broken connection again in this order.
//!
//! A message that the broker does not accept must not block the others, and one that merely met a bad connection must not
//! be lost. Therefore:
//! - After a connection that broke with messages in flight, they are sent one at a time; the number grows with each PUBACK.
//! - The first message that was not acknowledged when a connection broke, on which the broker had accepted something, has
//!   failed once; so has one that was refused. After a few failures it is *parked*: others are tried first.
//! - When another message is accepted meanwhile, the parked one is tried alone. If it fails again, the fault is its own: it is
//!   settled as refused. If all fail, none is lost.

use crate::publish::message::{DeliveryClass, Message};
use crate::publish::mqtt::announced::Announced;
use crate::publish::mqtt::birth::Birth;
use crate::publish::mqtt::quarantine::Quarantine;
use crate::publish::mqtt::queues::{Entry, Place, Queues};
use crate::publish::mqtt::waiting::{HUNG_UP, IN_FLIGHT, Refusal, Settled, Waiting};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Parked messages, at most: if so many fail, the fault is not theirs.
const MAX_PARKED: usize = 8;
/// Time after which a parked message is tried again even if no other one comes.
const PARKED_PAUSE: Duration = Duration::from_secs(60);
/// Longest topic in MQTT: its length has two bytes.
const MAX_TOPIC: usize = 65_535;
/// Bytes of a PUBLISH packet besides topic and payload, at most.
const PACKET_OVERHEAD: usize = 16;

/// The messages.
pub(crate) struct Delivery {
    queues: Queues,
    announced: Announced,
    birth: Birth,
    /// Tokens of the messages that rumqttc has not written yet, in its order.
    unwritten: VecDeque<u64>,
    /// Packet ids and tokens of the messages that were written and not acknowledged.
    written: VecDeque<(u16, u64)>,
    /// Messages up to this token were found fit to be sent.
    checked: u64,
    /// Limit of messages in flight; the birth message comes on top, unless the limit is 1.
    window: usize,
    /// Largest packet that the broker takes.
    max_packet: usize,
    /// This connection was worth its while: something was accepted, or a failure has found its message.
    has_progressed: bool,
    has_failure_counted: bool,
    /// Something was accepted on this connection, or it has no birth message by which that could be seen.
    is_broker_willing: bool,
    unpark_at: Option<Instant>,
    /// So many messages fail that the fault is not theirs.
    is_broker_at_fault: bool,
    quarantine: Quarantine,
    /// Mark readings that are sent again; only in payloads of metertap's own layout.
    marks_resent: bool,
    delivered: u64,
    refused: u64,
}

impl Delivery {
    /// Creates an empty queue. `birth` is sent first on every connection.
    pub fn new(birth: Option<Message>, marks_resent: bool) -> Self {
        Delivery {
            queues: Queues::new(),
            announced: Announced::default(),
            birth: Birth::new(birth),
            unwritten: VecDeque::with_capacity(IN_FLIGHT),
            written: VecDeque::with_capacity(IN_FLIGHT),
            checked: 0,
            window: IN_FLIGHT,
            max_packet: usize::MAX,
            has_progressed: false,
            has_failure_counted: false,
            is_broker_willing: false,
            unpark_at: None,
            is_broker_at_fault: false,
            quarantine: Quarantine::default(),
            marks_resent,
            delivered: 0,
            refused: 0,
        }
    }

    /// Number of readings.
    pub fn readings(&self) -> usize {
        self.queues.readings.len()
    }

    /// Number of messages that are not readings.
    pub fn others(&self) -> usize {
        self.queues.others.len()
    }

    /// Number of readings that may be added before [`IN_FLIGHT`] is reached.
    pub fn room(&self) -> usize {
        IN_FLIGHT.saturating_sub(self.readings())
    }

    /// Returns true if nothing is in flight or can be tried; parked messages may be left.
    pub fn is_idle(&self) -> bool {
        self.queues.iter().all(Entry::is_parked)
    }

    /// Acknowledged messages.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Readings that the broker has refused for ever.
    #[cfg(test)]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Returns true if anything was announced since the process began.
    pub fn has_announced(&self) -> bool {
        self.announced.is_any()
    }

    /// Returns true if this process has announced something on `topic`.
    pub fn has_announced_on(&self, topic: &str) -> bool {
        self.announced.contains(topic)
    }

    /// Returns true, once, if the connection that has ended brought the queue forward: the next one need not wait long.
    pub fn take_progress(&mut self) -> bool {
        std::mem::take(&mut self.has_progressed) && !self.is_broker_at_fault
    }

    /// Adds a message of this process' own making; an announcement or state precedes all readings.
    pub fn enqueue(&mut self, message: Message) {
        self.enqueue_at(0, None, message);
    }

    /// Adds message number `order` of the publishers.
    pub fn enqueue_numbered(&mut self, order: u64, message: Message) {
        self.enqueue_at(order, None, message);
    }

    /// Adds a reading of the backlog. Announcements and states precede it.
    pub fn enqueue_waiting(&mut self, waiting: Waiting) {
        let Waiting {
            mut message,
            key,
            may_have_arrived,
        } = waiting;
        if may_have_arrived && self.marks_resent {
            message.mark_resent();
        }
        self.enqueue_at(u64::MAX, key, message);
    }

    fn enqueue_at(&mut self, order: u64, key: Option<u64>, message: Message) {
        self.announced.remember(&message);
        self.queues.push(order, key, message);
    }

    /// Adds all announcements again, except those whose topic is in the queue anyway; also those that were refused, if it is
    /// time to try them again.
    pub fn announce_again(&mut self, now: Instant) {
        let others = self.queues.others.iter();
        let queued = others.map(|entry| entry.message.topic.as_str()).collect();
        let is_blocked = |message: &Message| self.quarantine.is_blocked(message, now);
        let missing = self.announced.again(&queued, is_blocked);
        missing.into_iter().for_each(|message| self.enqueue(message));
    }

    /// Begins a connection that the broker has accepted, with its limit of the packet size.
    pub fn begin(&mut self, max_packet: usize, now: Instant) {
        debug_assert!(self.written.is_empty() && self.unwritten.is_empty());
        (self.max_packet, self.checked) = (max_packet, 0);
        (self.has_progressed, self.has_failure_counted) = (false, false);
        let birth = self.birth.begin(now);
        self.is_broker_willing = birth.is_none();
        if let Some(birth) = birth {
            self.queues.push_birth(birth);
        }
    }

    /// Removes messages that cannot be sent on this connection, or are not tried at present. To be called before
    /// [`Delivery::next_unsent`], and every few seconds.
    pub fn set_aside(&mut self, now: Instant) -> Vec<Settled> {
        if self.unpark_at.is_some_and(|at| now >= at) {
            self.unpark_at = None;
            self.unpark(|entry| entry.failures = entry.failures.saturating_sub(1));
        }
        let mut tokens = Vec::new();
        let unchecked = self.queues.added_after(self.checked);
        for entry in unchecked.filter(|entry| entry.is_queued()) {
            let reason = unsendable(&entry.message, self.max_packet);
            let is_blocked = !entry.is_birth && self.quarantine.is_blocked(&entry.message, now);
            if let Some(reason) = reason.or_else(|| is_blocked.then(|| HUNG_UP.to_owned())) {
                tokens.push((entry.token, reason));
            }
        }
        self.checked = self.queues.last_token();
        let settle = |(token, reason)| {
            let refusal = Refusal {
                reason,
                is_final: true,
            };
            self.settle(token, Err(refusal))
        };
        tokens.into_iter().rev().filter_map(settle).collect()
    }

    /// Next message for the connection, if there is one and it may be in flight besides the others. The birth message is the
    /// first. Announcements and states precede readings of the backlog, except while messages are sent one at a time: the broker may
    /// refuse them all.
    pub fn next_unsent(&self) -> Option<&Message> {
        self.next_entry().map(|entry| &entry.message)
    }

    fn next_entry(&self) -> Option<&Entry> {
        if let Some(birth) = self.queues.birth().filter(|birth| birth.is_queued()) {
            return Some(birth);
        }
        if self.in_flight() >= self.window {
            return None;
        }
        let reading = self.queues.readings.iter().find(|entry| entry.is_queued());
        let other = self.queues.others.iter().find(|entry| entry.is_queued());
        let is_reading_first = match (reading, other) {
            (Some(reading), Some(other)) => self.window < IN_FLIGHT || reading.order < other.order,
            (reading, _) => reading.is_some(),
        };
        match is_reading_first {
            true => reading,
            false => other,
        }
    }

    /// Records that the connection has got that message.
    pub fn sent_next(&mut self) {
        let Some(token) = self.next_entry().map(|entry| entry.token) else {
            return;
        };
        if let Some(entry) = self.queues.find_mut(token) {
            entry.place = Place::InFlight;
        }
        self.unwritten.push_back(token);
    }

    /// Records the packet id under which the next message was written to the network: rumqttc writes in the order in which
    /// it gets them.
    pub fn written(&mut self, id: u16) {
        if let Some(token) = self.unwritten.pop_front() {
            self.written.push_back((id, token));
        }
    }

    /// Takes a PUBACK, in whatever order they come; returns the messages that are settled by it. An unknown id is ignored.
    ///
    /// # Errors
    /// Returns the reason if the broker refuses the message but may accept it later: the connection is to be made anew.
    pub fn acknowledged(
        &mut self,
        id: u16,
        result: Result<(), Refusal>,
        now: Instant,
    ) -> Result<Vec<Settled>, String> {
        let Some(place) = self.written.iter().position(|(written, _)| *written == id) else {
            return Ok(Vec::new());
        };
        let token = self.written.remove(place).map_or(0, |(_, token)| token);
        match result {
            Ok(()) => Ok(self.accepted(token, now)),
            Err(refusal) if refusal.is_final => {
                self.has_progressed = true;
                Ok(self.refuse(token, refusal, now).into_iter().collect())
            }
            Err(refusal) => {
                self.has_failure_counted = true;
                if let Some(settled) = self.failed(token, now) {
                    return Ok(vec![settled]);
                }
                Err(format!("the broker refuses a message: {}", refusal.reason))
            }
        }
    }

    fn accepted(&mut self, token: u64, now: Instant) -> Vec<Settled> {
        let is_birth = self.is_birth(token);
        let Some(accepted) = self.settle(token, Ok(())) else {
            return Vec::new();
        };
        self.is_broker_willing = true;
        if is_birth {
            self.birth.accepted();
            return Vec::new();
        }
        self.window = (self.window + 1).min(IN_FLIGHT);
        (self.has_progressed, self.is_broker_at_fault) = (true, false);
        self.quarantine.accepted(&accepted.topic, accepted.is_reading);
        self.put_on_trial(now);
        vec![accepted]
    }

    /// A message was accepted: those that are parked may be at fault themselves.
    fn put_on_trial(&mut self, now: Instant) {
        self.birth.other_accepted(now);
        if self.unpark(|entry| entry.is_on_trial = true) {
            self.window = 1;
        }
    }

    /// Settles a message as refused for ever.
    fn refuse(&mut self, token: u64, refusal: Refusal, now: Instant) -> Option<Settled> {
        let is_birth = self.is_birth(token);
        let refused = self.settle(token, Err(refusal))?;
        if is_birth {
            self.birth.refused(now);
        } else {
            self.quarantine.refused(&refused.topic, refused.is_reading, now);
            // Others of its family may be blocked now.
            self.checked = 0;
        }
        Some(refused)
    }

    fn is_birth(&self, token: u64) -> bool {
        self.queues.find(token).is_some_and(|entry| entry.is_birth)
    }

    /// Removes a message from its queue.
    fn settle(&mut self, token: u64, result: Result<(), Refusal>) -> Option<Settled> {
        let entry = self.queues.remove(token)?;
        let Message {
            topic,
            payload,
            class,
            ..
        } = entry.message;
        let bytes = payload.len();
        match &result {
            Ok(()) => self.delivered += u64::from(!entry.is_birth),
            Err(_) if class == DeliveryClass::Reading => self.refused += 1,
            Err(_) => self.announced.refuse(&topic),
        }
        Some(Settled {
            key: entry.key,
            is_reading: class == DeliveryClass::Reading,
            topic,
            bytes,
            result,
        })
    }

    /// Returns true if the broker has acknowledged all that was handed to the connection.
    pub fn has_nothing_in_flight(&self) -> bool {
        self.written.is_empty() && self.unwritten.is_empty()
    }

    /// Records that the connection has ended for a reason that none of the messages in flight can be. `skips_birth`: the next one
    /// begins without the birth message, whose acknowledgement would end it before anything else is acknowledged.
    pub fn blame_nobody(&mut self, skips_birth: bool) {
        self.has_failure_counted = true;
        self.birth.skip_once(skips_birth);
    }

    /// Ends a connection, or an attempt to make one. Readings in flight may have arrived or not, and are marked. Returns a
    /// message that has failed once too often.
    pub fn connection_lost(&mut self, now: Instant) -> Option<Settled> {
        let written = std::mem::take(&mut self.written);
        let unwritten = std::mem::take(&mut self.unwritten);
        let first = written.iter().map(|(_, token)| *token).chain(unwritten).next();
        let mut settled = None;
        if let Some(first) = first {
            let is_birth = self.is_birth(first);
            if !self.has_failure_counted && (self.is_broker_willing || is_birth) {
                self.has_progressed = true;
                settled = self.failed(first, now);
            }
            self.window = 1;
        }
        self.queues.requeue(Place::InFlight, self.marks_resent, |_| ());
        self.queues.keep_latest_others();
        if self.queues.iter().filter(|entry| entry.is_parked()).count() >= MAX_PARKED {
            self.is_broker_at_fault = true;
            self.birth.forgive();
            self.unpark(|entry| entry.failures = 0);
        }
        settled
    }

    /// Counts a failure of a message, and parks it after a few. Returns it if it was on trial.
    fn failed(&mut self, token: u64, now: Instant) -> Option<Settled> {
        let entry = self.queues.find_mut(token)?;
        if entry.is_birth {
            self.birth.failed();
            return None;
        }
        if entry.is_on_trial {
            let refusal = Refusal {
                reason: HUNG_UP.into(),
                is_final: true,
            };
            return self.refuse(token, refusal, now);
        }
        entry.failures = entry.failures.saturating_add(1);
        if entry.failures < self.quarantine.tries(&entry.message) {
            return None;
        }
        entry.place = Place::Parked;
        self.unpark_at.get_or_insert(now + PARKED_PAUSE);
        None
    }

    /// Puts parked messages back into the queue, and changes them; returns true if there are any.
    fn unpark(&mut self, change: impl Fn(&mut Entry)) -> bool {
        self.queues.requeue(Place::Parked, self.marks_resent, change)
    }

    /// Messages in flight, without the birth message, unless they are sent one at a time: if it failed together with another one,
    /// nobody would know which of them was at fault.
    fn in_flight(&self) -> usize {
        let is_birth_in_flight = self.window > 1 && self.queues.birth().is_some();
        (self.written.len() + self.unwritten.len()).saturating_sub(usize::from(is_birth_in_flight))
    }
}

/// Returns the reason why no broker would take `message`, or this one would not.
fn unsendable(message: &Message, max_packet: usize) -> Option<String> {
    let topic = &message.topic;
    if topic.is_empty() || topic.len() > MAX_TOPIC || topic.contains(['\0', '+', '#']) {
        return Some("its topic is empty, too long, or has characters that MQTT forbids".into());
    }
    let bytes = topic.len() + message.payload.len() + PACKET_OVERHEAD;
    (bytes > max_packet)
        .then(|| format!("{bytes} bytes are more than the {max_packet} that the broker takes"))
}

#[cfg(test)]
#[path = "delivery_tests.rs"]
mod tests;
