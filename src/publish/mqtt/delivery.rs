//! Delivery policy, without I/O: which messages wait for the broker, in which order, and what an acknowledgement settles.
//!
//! rumqttc keeps a message only as long as the broker keeps the session, which it seldom does. So every connection gets
//! a client of its own, and each message stays in this queue until its PUBACK:
//!
//! ```text
//!   settled ◀── waiting[0 .. sent]: handed to this connection ── waiting[sent ..]: not yet ◀── enqueue
//! ```
//!
//! Invariants:
//! - Messages leave at the front only, and a message is handed over after all those in front of it. So the broker gets
//!   them in the order of the queue, and after a broken connection again in this order.
//! - Keys of the spool ascend along the queue. So the key of the last settled message covers all rows up to it.
//! - `packets` holds the packet ids of the birth message, if it is in flight, and then of `waiting[0 .. sent]` as far as
//!   rumqttc has written them: ids are assigned in the order of writing.

use crate::publish::message::{DeliveryClass, Message};
use crate::publish::mqtt::waiting::{IN_FLIGHT, Refusal, Settled, Slot, Waiting};
use std::collections::{BTreeMap, VecDeque};

/// Delivered rows are removed from the spool in lots of this size: every removal is a transaction.
const REMOVE: u64 = 32;

/// Queue of the messages that wait for the broker.
pub(crate) struct Delivery {
    waiting: VecDeque<Waiting>,
    /// Length of the part that was handed to the present connection.
    sent: usize,
    packets: VecDeque<Packet>,
    /// Birth messages handed to the present connection and not acknowledged; they are not in `waiting`.
    births: usize,
    /// Latest payload of each announced topic.
    announced: BTreeMap<String, String>,
    /// Mark readings that are sent again; only in payloads of metertap's own layout.
    marks_resent: bool,
    /// Rows of an earlier process still to be marked: as many as it can have had in flight when it ended.
    inherited: usize,
    /// Last delivered key whose row is still in the spool.
    removable: Option<u64>,
    delivered: u64,
    refused: u64,
}

/// PUBLISH packet that was written to the network.
struct Packet {
    id: u16,
    /// Set by its PUBACK, which may overtake others.
    result: Option<Result<(), Refusal>>,
}

impl Delivery {
    /// Creates an empty queue.
    pub fn new(marks_resent: bool) -> Self {
        Delivery {
            waiting: VecDeque::with_capacity(IN_FLIGHT),
            sent: 0,
            packets: VecDeque::with_capacity(IN_FLIGHT),
            births: 0,
            announced: BTreeMap::new(),
            marks_resent,
            inherited: IN_FLIGHT,
            removable: None,
            delivered: 0,
            refused: 0,
        }
    }

    /// Number of messages in the queue.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Number of messages that may be added before [`IN_FLIGHT`] is reached.
    pub fn room(&self) -> usize {
        IN_FLIGHT.saturating_sub(self.waiting.len())
    }

    /// Returns true if everything is acknowledged, the birth message included.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.births == 0
    }

    /// Acknowledged messages.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Messages that the broker has refused for ever.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Readings in the queue that are not in the spool.
    pub fn unspooled(&self) -> u64 {
        let is_unspooled = |waiting: &&Waiting| waiting.key.is_none() && waiting.message.is_reading();
        self.waiting.iter().filter(is_unspooled).count() as u64
    }

    /// Returns true if anything was announced since the process began.
    pub fn has_announced(&self) -> bool {
        !self.announced.is_empty()
    }

    /// Returns true if this process has announced something on `topic`.
    pub fn has_announced_on(&self, topic: &str) -> bool {
        self.announced.contains_key(topic)
    }

    /// Adds a message at the end.
    pub fn enqueue(&mut self, message: Message) {
        self.enqueue_spooled(Waiting { message, key: None }, false);
    }

    /// Adds a message at the end that may have a row in the spool. `is_inherited`: an earlier process wrote the row.
    pub fn enqueue_spooled(&mut self, mut waiting: Waiting, is_inherited: bool) {
        if is_inherited && self.inherited > 0 {
            self.inherited -= 1;
            if self.marks_resent {
                waiting.message.mark_resent();
            }
        }
        let message = &waiting.message;
        if message.class == DeliveryClass::Announcement {
            self.announced
                .insert(message.topic.clone(), message.payload.clone());
        }
        debug_assert!(
            waiting.key.is_none() || waiting.key > self.waiting.iter().rev().find_map(|waiting| waiting.key),
            "keys ascend along the queue"
        );
        self.waiting.push_back(waiting);
    }

    /// Adds all announcements again, except those whose topic is in the queue anyway.
    pub fn announce_again(&mut self) {
        let is_waiting = |topic: &String| self.waiting.iter().any(|waiting| waiting.message.topic == *topic);
        let missing: Vec<Message> = self
            .announced
            .iter()
            .filter(|(topic, _)| !is_waiting(topic))
            .map(|(topic, payload)| Message::retained(topic.clone(), payload.clone(), DeliveryClass::State))
            .collect();
        missing.into_iter().for_each(|message| self.enqueue(message));
    }

    /// Begins a connection: nothing is handed to it yet.
    pub fn begin(&mut self) {
        self.sent = 0;
        self.packets.clear();
        self.births = 0;
    }

    /// Records that the birth message was handed to the connection. Must precede every other message.
    pub fn sent_birth(&mut self) {
        debug_assert!(
            self.sent == 0 && self.packets.is_empty(),
            "the birth message comes first"
        );
        self.births += 1;
    }

    /// First message that the connection has not got.
    pub fn next_unsent(&self) -> Option<&Message> {
        self.waiting.get(self.sent).map(|waiting| &waiting.message)
    }

    /// Records that the connection has got that message.
    pub fn sent_next(&mut self) {
        self.sent += 1;
        debug_assert!(self.sent <= self.waiting.len());
    }

    /// Records the packet id under which the next message was written to the network.
    pub fn written(&mut self, id: u16) {
        debug_assert!(
            self.packets.len() < self.births + self.sent,
            "a packet is a message"
        );
        self.packets.push_back(Packet { id, result: None });
    }

    /// Takes a PUBACK, and returns the messages that it settles. Brokers acknowledge in order, but need not: a message
    /// leaves the queue after all those in front of it.
    ///
    /// # Errors
    /// Returns the reason if the broker refuses the message but may accept it later: the connection is to be made anew.
    pub fn acknowledged(&mut self, id: u16, result: Result<(), Refusal>) -> Result<Vec<Settled>, String> {
        if let Some(refusal) = result.as_ref().err().filter(|refusal| !refusal.is_final) {
            return Err(format!("the broker refuses a message: {}", refusal.reason));
        }
        let is_it = |packet: &&mut Packet| packet.id == id && packet.result.is_none();
        if let Some(packet) = self.packets.iter_mut().find(is_it) {
            packet.result = Some(result);
        }
        let mut settled = Vec::new();
        while let Some(result) = self.packets.front_mut().and_then(|packet| packet.result.take()) {
            self.packets.pop_front();
            if self.births > 0 {
                self.births -= 1;
                continue;
            }
            let Some(Waiting { message, key }) = self.waiting.pop_front() else {
                break;
            };
            self.sent = self.sent.saturating_sub(1);
            match result {
                Ok(()) => self.delivered += 1,
                Err(_) => self.refused += 1,
            }
            // Keys ascend, so the latest one covers those before it.
            self.removable = key.or(self.removable);
            settled.push(Settled {
                topic: message.topic,
                result,
            });
        }
        Ok(settled)
    }

    /// Takes the key through which rows are to be removed from the spool, once there are enough of them or no row is
    /// left in the queue.
    pub fn take_removable(&mut self) -> Option<u64> {
        let key = self.removable?;
        let is_last = self.waiting.iter().all(|waiting| waiting.key.is_none());
        if is_last || key % REMOVE == 0 {
            return self.removable.take();
        }
        None
    }

    /// Ends a connection: readings that were handed to it may have arrived or not, and are marked.
    pub fn connection_lost(&mut self) {
        let sent = std::mem::take(&mut self.sent);
        if self.marks_resent {
            let handed_over = self.waiting.iter_mut().take(sent);
            handed_over.for_each(|waiting| waiting.message.mark_resent());
        }
    }

    /// Returns the queue as the spool sees it, and the key through which rows must be removed *before* anything is
    /// stored: rows that are put in front get lower keys, and a later removal would take them along.
    pub fn slots_to_store(&mut self) -> (Vec<Slot>, Option<u64>) {
        let slot = |(place, waiting): (usize, &Waiting)| match waiting.key {
            Some(key) => Slot::Spooled(key),
            None if waiting.message.is_reading() => {
                let mut message = waiting.message.clone();
                // It may arrive over this connection. A process that finds it in the spool later cannot know.
                if self.marks_resent && place < self.sent {
                    message.mark_resent();
                }
                Slot::Unspooled(message.into())
            }
            None => Slot::Other,
        };
        let slots = self.waiting.iter().enumerate().map(slot).collect();
        (slots, self.removable.take())
    }

    /// Records the keys of the rows that were stored, in the order of [`Delivery::slots_to_store`].
    pub fn stored(&mut self, keys: &[Option<u64>]) {
        for (waiting, key) in self.waiting.iter_mut().zip(keys) {
            debug_assert!(waiting.key.is_none() || waiting.key == *key, "a key is for life");
            waiting.key = *key;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(topic: &str) -> Message {
        Message::reading(topic, "{\"a\":1}", false)
    }

    /// Hands everything to a connection that writes it with packet ids from `first_id` on; returns topics and payloads.
    fn send_all(delivery: &mut Delivery, first_id: u16) -> Vec<(String, String)> {
        let mut sent = Vec::new();
        while let Some(message) = delivery.next_unsent() {
            sent.push((message.topic.clone(), message.payload.clone()));
            delivery.sent_next();
            delivery.written(first_id + sent.len() as u16 - 1);
        }
        sent
    }

    fn topics(settled: &[Settled]) -> Vec<&str> {
        settled.iter().map(|settled| settled.topic.as_str()).collect()
    }

    fn refusal(is_final: bool) -> Result<(), Refusal> {
        Err(Refusal {
            reason: "quota".into(),
            is_final,
        })
    }

    #[test]
    fn given_acknowledgements_out_of_order_then_messages_are_settled_in_order() {
        let mut delivery = Delivery::new(true);
        ["a", "b", "c"]
            .into_iter()
            .for_each(|topic| delivery.enqueue(reading(topic)));
        delivery.begin();
        delivery.sent_birth();
        delivery.written(1);
        send_all(&mut delivery, 2);
        assert_eq!(delivery.acknowledged(3, Ok(())), Ok(Vec::new()));
        assert_eq!(
            delivery.acknowledged(1, Ok(())),
            Ok(Vec::new()),
            "the birth message"
        );
        assert_eq!(topics(&delivery.acknowledged(2, Ok(())).unwrap()), ["a", "b"]);
        assert_eq!(topics(&delivery.acknowledged(4, Ok(())).unwrap()), ["c"]);
        assert!(delivery.is_empty());
        assert_eq!(delivery.delivered(), 3);
    }

    #[test]
    fn given_a_lost_connection_then_what_it_had_is_sent_again_first_and_marked() {
        let mut delivery = Delivery::new(true);
        delivery.enqueue(reading("a"));
        delivery.enqueue(reading("b"));
        delivery.begin();
        send_all(&mut delivery, 1);
        delivery.acknowledged(1, Ok(())).unwrap();
        delivery.enqueue(reading("c"));
        delivery.connection_lost();
        delivery.begin();
        let again = send_all(&mut delivery, 1);
        let expected = [("b", r#"{"a":1,"resent":true}"#), ("c", r#"{"a":1}"#)];
        assert_eq!(
            again,
            expected.map(|(topic, payload)| (topic.into(), payload.into()))
        );
    }

    #[test]
    fn given_a_refusal_then_a_final_one_settles_the_message_and_another_one_breaks_the_connection() {
        let mut delivery = Delivery::new(true);
        delivery.enqueue(reading("a"));
        delivery.begin();
        send_all(&mut delivery, 1);
        assert!(delivery.acknowledged(1, refusal(false)).is_err());
        assert_eq!(delivery.len(), 1);
        delivery.connection_lost();
        delivery.begin();
        send_all(&mut delivery, 1);
        assert_eq!(topics(&delivery.acknowledged(1, refusal(true)).unwrap()), ["a"]);
        assert_eq!((delivery.refused(), delivery.delivered()), (1, 0));
    }

    #[test]
    fn given_announcements_then_they_are_said_again_with_their_last_payload_unless_they_wait() {
        let mut delivery = Delivery::new(true);
        for (topic, payload) in [("a", "1"), ("a", "2"), ("b", "3")] {
            delivery.enqueue(Message::retained(topic, payload, DeliveryClass::Announcement));
        }
        delivery.begin();
        let sent = send_all(&mut delivery, 1).len() as u16;
        for id in 1..=sent {
            delivery.acknowledged(id, Ok(())).unwrap();
        }
        delivery.enqueue(Message::retained("b", "4", DeliveryClass::Announcement));
        delivery.announce_again();
        let again = send_all(&mut delivery, 1);
        assert_eq!(again, [("b", "4"), ("a", "2")].map(|(t, p)| (t.into(), p.into())));
    }

    #[test]
    fn given_rows_of_the_spool_then_they_are_removed_in_lots_and_when_the_last_one_is_delivered() {
        let mut delivery = Delivery::new(true);
        for key in 30..=34 {
            let message = reading("a");
            delivery.enqueue_spooled(
                Waiting {
                    message,
                    key: Some(key),
                },
                false,
            );
        }
        delivery.begin();
        send_all(&mut delivery, 1);
        let mut removed = Vec::new();
        for id in 1..=5 {
            delivery.acknowledged(id, Ok(())).unwrap();
            removed.push(delivery.take_removable());
        }
        assert_eq!(removed, [None, None, Some(32), None, Some(34)]);
    }

    #[test]
    fn given_rows_of_an_earlier_process_then_as_many_are_marked_as_can_have_been_in_flight() {
        let mut delivery = Delivery::new(true);
        for key in 1..=IN_FLIGHT as u64 + 1 {
            let message = reading("a");
            delivery.enqueue_spooled(
                Waiting {
                    message,
                    key: Some(key),
                },
                true,
            );
        }
        let marked = send_all(&mut delivery, 1);
        let marked = marked.iter().filter(|(_, payload)| payload.contains("resent"));
        assert_eq!(marked.count(), IN_FLIGHT);
    }

    #[test]
    fn given_a_pending_removal_when_the_queue_is_stored_then_it_comes_first() {
        let mut delivery = Delivery::new(true);
        for key in [1, 2] {
            let message = reading("a");
            delivery.enqueue_spooled(
                Waiting {
                    message,
                    key: Some(key),
                },
                false,
            );
        }
        delivery.enqueue(reading("b"));
        delivery.enqueue(Message::retained("s", "up", DeliveryClass::State));
        delivery.begin();
        send_all(&mut delivery, 1);
        delivery.acknowledged(1, Ok(())).unwrap();
        assert_eq!(delivery.take_removable(), None, "not enough for a transaction");
        let (slots, removable) = delivery.slots_to_store();
        assert_eq!(removable, Some(1));
        let mut marked = reading("b");
        marked.mark_resent();
        assert_eq!(
            slots,
            [Slot::Spooled(2), Slot::Unspooled(marked.into()), Slot::Other]
        );
        delivery.stored(&[Some(2), Some(3), None]);
        assert_eq!(delivery.unspooled(), 0);
    }
}
