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
use crate::publish::mqtt::quarantine::Quarantine;
use crate::publish::mqtt::waiting::{IN_FLIGHT, Refusal, Settled, Waiting};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

/// Parked messages, at most: if so many fail, the fault is not theirs.
const MAX_PARKED: usize = 8;
/// Time after which a parked message is tried again even if no other one comes.
const PARKED_PAUSE: Duration = Duration::from_secs(60);
/// Failures of the birth message after which a connection is tried without it.
const BIRTH_TRIES: u8 = 3;
/// Birth messages that fail are tried again after this time.
const BIRTH_PAUSE: Duration = Duration::from_secs(600);
/// Topics whose announcements are remembered, at most; meters of the whole street are far fewer.
const MAX_ANNOUNCED: usize = 20_000;
/// Longest topic in MQTT: its length has two bytes.
const MAX_TOPIC: usize = 65_535;
/// Bytes of a PUBLISH packet besides topic and payload, at most.
const PACKET_OVERHEAD: usize = 16;
/// Reason for a message at which the connection is closed.
const HUNG_UP: &str = "the broker closes the connection at it: not allowed, or too large";

/// The messages.
pub(crate) struct Delivery {
    readings: VecDeque<Entry>,
    /// Announcements, states, and the birth message of the present connection in front.
    others: VecDeque<Entry>,
    /// Latest payload of each announced topic.
    announced: BTreeMap<String, String>,
    /// Announcements that were refused, until they are tried again.
    refused_announcements: BTreeMap<String, String>,
    birth: Option<Message>,
    birth_failures: u8,
    birth_refused_until: Option<Instant>,
    skips_birth: bool,
    /// Tokens of the messages that rumqttc has not written yet, in its order.
    unwritten: VecDeque<u64>,
    /// Packet ids and tokens of the messages that were written and not acknowledged.
    written: VecDeque<(u16, u64)>,
    next_token: u64,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Queued,
    InFlight,
    Parked,
}

struct Entry {
    token: u64,
    /// Place among announcements, states and readings that came without a spool.
    order: u64,
    key: Option<u64>,
    message: Message,
    place: Place,
    failures: u8,
    /// Another message was accepted after this one was parked: it must not fail once more.
    is_on_trial: bool,
    is_birth: bool,
}

impl Delivery {
    /// Creates an empty queue. `birth` is sent first on every connection.
    pub fn new(birth: Option<Message>, marks_resent: bool) -> Self {
        Delivery {
            readings: VecDeque::with_capacity(IN_FLIGHT),
            others: VecDeque::new(),
            announced: BTreeMap::new(),
            refused_announcements: BTreeMap::new(),
            birth,
            birth_failures: 0,
            birth_refused_until: None,
            skips_birth: false,
            unwritten: VecDeque::with_capacity(IN_FLIGHT),
            written: VecDeque::with_capacity(IN_FLIGHT),
            next_token: 0,
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
        self.readings.len()
    }

    /// Number of messages that are not readings.
    pub fn others(&self) -> usize {
        self.others.len()
    }

    /// Number of readings that may be added before [`IN_FLIGHT`] is reached.
    pub fn room(&self) -> usize {
        IN_FLIGHT.saturating_sub(self.readings.len())
    }

    /// Returns true if nothing is in flight or can be tried; parked messages may be left.
    pub fn is_idle(&self) -> bool {
        let mut entries = self.readings.iter().chain(&self.others);
        entries.all(|entry| entry.place == Place::Parked)
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
        !self.announced.is_empty()
    }

    /// Returns true if this process has announced something on `topic`.
    pub fn has_announced_on(&self, topic: &str) -> bool {
        self.announced.contains_key(topic) || self.refused_announcements.contains_key(topic)
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
        if message.class == DeliveryClass::Announcement {
            let topic = &message.topic;
            self.refused_announcements.remove(topic);
            if message.payload.is_empty() {
                // Deleted: nothing to be announced again.
                self.announced.remove(topic);
            } else if self.announced.len() < MAX_ANNOUNCED || self.announced.contains_key(topic) {
                self.announced.insert(topic.clone(), message.payload.clone());
            }
        }
        let is_reading = message.is_reading();
        let mut entry = self.entry(message, key);
        entry.order = order;
        match is_reading {
            true => self.readings.push_back(entry),
            false => self.others.push_back(entry),
        }
    }

    fn entry(&mut self, message: Message, key: Option<u64>) -> Entry {
        self.next_token += 1;
        Entry {
            token: self.next_token,
            order: 0,
            key,
            message,
            place: Place::Queued,
            failures: 0,
            is_on_trial: false,
            is_birth: false,
        }
    }

    /// Adds all announcements again, except those whose topic is in the queue anyway; also those that were refused, if it is
    /// time to try them again.
    pub fn announce_again(&mut self, now: Instant) {
        let refused = std::mem::take(&mut self.refused_announcements);
        for (topic, payload) in refused {
            let message = Message::retained(topic, payload, DeliveryClass::Announcement);
            let Message { topic, payload, .. } = message.clone();
            match self.quarantine.is_blocked(&message, now) {
                true => self.refused_announcements.insert(topic, payload),
                false => self.announced.insert(topic, payload),
            };
        }
        let waiting: HashSet<&str> = self
            .others
            .iter()
            .map(|entry| entry.message.topic.as_str())
            .collect();
        let missing: Vec<Message> = self
            .announced
            .iter()
            .filter(|(topic, _)| !waiting.contains(topic.as_str()))
            .map(|(topic, payload)| {
                Message::retained(topic.clone(), payload.clone(), DeliveryClass::Announcement)
            })
            .collect();
        missing.into_iter().for_each(|message| self.enqueue(message));
    }

    /// Begins a connection that the broker has accepted, with its limit of the packet size.
    pub fn begin(&mut self, max_packet: usize, now: Instant) {
        debug_assert!(self.written.is_empty() && self.unwritten.is_empty());
        (self.max_packet, self.checked) = (max_packet, 0);
        (self.has_progressed, self.has_failure_counted) = (false, false);
        let is_refused = self.birth_refused_until.is_some_and(|until| now < until)
            || std::mem::take(&mut self.skips_birth);
        let is_parked = self.birth_failures >= BIRTH_TRIES;
        let birth = self.birth.clone().filter(|_| !is_refused && !is_parked);
        self.is_broker_willing = birth.is_none();
        if let Some(birth) = birth {
            let mut entry = self.entry(birth, None);
            entry.is_birth = true;
            self.others.push_front(entry);
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
        let is_new = |entry: &&Entry| entry.token > self.checked;
        let readings = self.readings.iter().rev().take_while(is_new);
        let others = self.others.iter().rev().take_while(is_new);
        for entry in readings
            .chain(others)
            .filter(|entry| entry.place == Place::Queued)
        {
            let reason = unsendable(&entry.message, self.max_packet);
            let is_blocked = !entry.is_birth && self.quarantine.is_blocked(&entry.message, now);
            if let Some(reason) = reason.or_else(|| is_blocked.then(|| HUNG_UP.to_owned())) {
                tokens.push((entry.token, reason));
            }
        }
        self.checked = self.next_token;
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
        self.next_entry().map(|(entry, _)| &entry.message)
    }

    fn next_entry(&self) -> Option<(&Entry, bool)> {
        let is_queued = |entry: &&Entry| entry.place == Place::Queued;
        if let Some(birth) = self
            .others
            .front()
            .filter(|entry| entry.is_birth && is_queued(entry))
        {
            return Some((birth, false));
        }
        if self.in_flight() >= self.window {
            return None;
        }
        let reading = self.readings.iter().find(is_queued);
        let other = self.others.iter().find(is_queued);
        let is_reading_first = match (reading, other) {
            (Some(reading), Some(other)) => self.window < IN_FLIGHT || reading.order < other.order,
            (reading, _) => reading.is_some(),
        };
        match is_reading_first {
            true => reading.map(|entry| (entry, true)),
            false => other.map(|entry| (entry, false)),
        }
    }

    /// Records that the connection has got that message.
    pub fn sent_next(&mut self) {
        let Some((token, is_reading)) = self
            .next_entry()
            .map(|(entry, is_reading)| (entry.token, is_reading))
        else {
            return;
        };
        let queue = match is_reading {
            true => &mut self.readings,
            false => &mut self.others,
        };
        if let Some(entry) = queue.iter_mut().find(|entry| entry.token == token) {
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
        let is_birth = self.find(token).is_some_and(|entry| entry.is_birth);
        let Some(accepted) = self.settle(token, Ok(())) else {
            return Vec::new();
        };
        self.is_broker_willing = true;
        if is_birth {
            (self.birth_failures, self.birth_refused_until) = (0, None);
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
        if self.birth_failures >= BIRTH_TRIES {
            self.birth_failures = 0;
            self.birth_refused_until = Some(now + BIRTH_PAUSE);
            let topic = self.birth.as_ref().map_or("", |birth| birth.topic.as_str());
            tracing::error!(
                topic,
                reason = HUNG_UP,
                "The broker does not accept the birth message; the status on it will be wrong"
            );
        }
        if self.unpark(|entry| entry.is_on_trial = true) {
            self.window = 1;
        }
    }

    /// Settles a message as refused for ever.
    fn refuse(&mut self, token: u64, refusal: Refusal, now: Instant) -> Option<Settled> {
        let is_birth = self.find(token)?.is_birth;
        let refused = self.settle(token, Err(refusal))?;
        if is_birth {
            self.birth_refused_until = Some(now + BIRTH_PAUSE);
        } else {
            self.quarantine.refused(&refused.topic, refused.is_reading, now);
            // Others of its family may be blocked now.
            self.checked = 0;
        }
        Some(refused)
    }

    fn find(&self, token: u64) -> Option<&Entry> {
        let mut entries = self.readings.iter().chain(&self.others);
        entries.find(|entry| entry.token == token)
    }

    /// Removes a message from its queue.
    fn settle(&mut self, token: u64, result: Result<(), Refusal>) -> Option<Settled> {
        let queues = [&mut self.readings, &mut self.others];
        let entry = queues.into_iter().find_map(|queue| {
            let place = queue.iter().position(|entry| entry.token == token)?;
            queue.remove(place)
        })?;
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
            // Not to be repeated with every connection.
            Err(_) => {
                if let Some(payload) = self.announced.remove(&topic) {
                    self.refused_announcements.insert(topic.clone(), payload);
                }
            }
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
        self.skips_birth = skips_birth;
    }

    /// Ends a connection, or an attempt to make one. Readings in flight may have arrived or not, and are marked. Returns a
    /// message that has failed once too often.
    pub fn connection_lost(&mut self, now: Instant) -> Option<Settled> {
        let written = std::mem::take(&mut self.written);
        let unwritten = std::mem::take(&mut self.unwritten);
        let first = written.iter().map(|(_, token)| *token).chain(unwritten).next();
        let mut settled = None;
        if let Some(first) = first {
            let is_birth = self.find(first).is_some_and(|entry| entry.is_birth);
            if !self.has_failure_counted && (self.is_broker_willing || is_birth) {
                self.has_progressed = true;
                settled = self.failed(first, now);
            }
            self.window = 1;
        }
        for entry in &mut self.readings {
            if entry.place == Place::InFlight {
                entry.place = Place::Queued;
                if self.marks_resent {
                    entry.message.mark_resent();
                }
            }
        }
        self.others.retain(|entry| !entry.is_birth);
        for entry in &mut self.others {
            if entry.place == Place::InFlight {
                entry.place = Place::Queued;
            }
        }
        self.keep_latest_others();
        let entries = self.readings.iter().chain(&self.others);
        if entries.filter(|entry| entry.place == Place::Parked).count() >= MAX_PARKED {
            self.is_broker_at_fault = true;
            self.birth_failures = 0;
            self.unpark(|entry| entry.failures = 0);
        }
        settled
    }

    /// Removes announcements and states that have a later one of their topic.
    fn keep_latest_others(&mut self) {
        let mut seen = HashSet::new();
        let mut latest = VecDeque::with_capacity(self.others.len());
        while let Some(entry) = self.others.pop_back() {
            if seen.insert(entry.message.topic.clone()) {
                latest.push_front(entry);
            }
        }
        self.others = latest;
    }

    /// Counts a failure of a message, and parks it after a few. Returns it if it was on trial.
    fn failed(&mut self, token: u64, now: Instant) -> Option<Settled> {
        let queues = self.readings.iter_mut().chain(&mut self.others);
        let entry = queues.into_iter().find(|entry| entry.token == token)?;
        if entry.is_birth {
            self.birth_failures = self.birth_failures.saturating_add(1);
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
        let mut has_any = false;
        for entry in self.readings.iter_mut().chain(&mut self.others) {
            if entry.place == Place::Parked {
                has_any = true;
                entry.place = Place::Queued;
                if self.marks_resent {
                    entry.message.mark_resent();
                }
                change(entry);
            }
        }
        has_any
    }

    /// Messages in flight, without the birth message, unless they are sent one at a time: if it failed together with another one,
    /// nobody would know which of them was at fault.
    fn in_flight(&self) -> usize {
        let is_birth_in_flight = self.window > 1 && self.others.front().is_some_and(|entry| entry.is_birth);
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
