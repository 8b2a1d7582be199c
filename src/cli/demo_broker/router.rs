//! State of the broker: sessions, their subscriptions, and retained messages. No I/O.
//!
//! Each session has a bounded queue of outgoing packets. Publishing never waits: a session whose queue is full, or that
//! acknowledges nothing, is removed, which closes its connection and publishes its last will.

use anyhow::{Result, ensure};
use bytes::Bytes;
use rumqttc::mqttbytes::v4::{
    ConnAck, Connect, ConnectReturnCode, LastWill, Packet, Publish, SubAck, Subscribe, SubscribeReasonCode,
    UnsubAck, Unsubscribe,
};
use rumqttc::mqttbytes::{QoS, valid_filter, valid_topic};
use std::collections::{BTreeMap, HashSet};
use tokio::sync::{mpsc, oneshot};

/// Packets waiting for one client. Leaves room for all retained messages twice.
pub const MAX_QUEUE: usize = 4 * 1024;
/// Topics with a retained message; those beyond are only forwarded.
pub const MAX_RETAINED: usize = 1024;
/// Subscriptions of one client; those beyond are refused.
pub const MAX_FILTERS: usize = 128;
/// QoS 1 messages that one client has not acknowledged. Far below the 65 535 packet identifiers, so one is always free.
pub const MAX_UNACKNOWLEDGED: usize = MAX_QUEUE;

/// Identifies a session; never used again after its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct SessionId(u64);

/// The connection's end of a session.
#[derive(Debug)]
pub struct Outgoing {
    /// Way into the queue for the connection's own replies.
    pub replies: mpsc::Sender<Packet>,
    /// Packets to send, CONNACK first.
    pub packets: mpsc::Receiver<Packet>,
    /// Resolves when the router has removed the session.
    pub removed: oneshot::Receiver<()>,
}

/// Sessions and retained messages.
#[derive(Debug, Default)]
pub struct Router {
    sessions: BTreeMap<SessionId, Session>,
    last_id: SessionId,
    retained: BTreeMap<String, (QoS, Bytes)>,
    /// A full store is logged once.
    is_full_logged: bool,
}

#[derive(Debug)]
struct Session {
    client_id: String,
    filters: Vec<(String, QoS)>,
    will: Option<LastWill>,
    queue: mpsc::Sender<Packet>,
    last_packet_id: u16,
    unacknowledged: HashSet<u16>,
    /// Resolves `Outgoing::removed` by being dropped.
    _removed: oneshot::Sender<()>,
}

impl Router {
    /// Opens a session and accepts the client. One with the same client identifier is removed (MQTT 3.1.1, 3.1.4).
    pub fn connect(&mut self, connect: Connect) -> (SessionId, Outgoing) {
        if !connect.client_id.is_empty() {
            let same = self
                .sessions
                .iter()
                .find(|(_, session)| session.client_id == connect.client_id);
            if let Some((&id, _)) = same {
                self.disconnect(id, false);
            }
        }
        let (queue, packets) = mpsc::channel(MAX_QUEUE);
        let (on_removal, removed) = oneshot::channel();
        self.last_id.0 += 1;
        let id = self.last_id;
        let replies = queue.clone();
        let mut session = Session {
            client_id: connect.client_id,
            filters: Vec::new(),
            will: connect.last_will.filter(|will| is_topic(&will.topic)),
            queue,
            last_packet_id: 0,
            unacknowledged: HashSet::new(),
            _removed: on_removal,
        };
        session.send(Packet::ConnAck(ConnAck::new(ConnectReturnCode::Success, false)));
        self.sessions.insert(id, session);
        let outgoing = Outgoing {
            replies,
            packets,
            removed,
        };
        (id, outgoing)
    }

    /// Ends a session, if it has not been removed before; `is_clean` after a DISCONNECT, which discards the last will.
    pub fn disconnect(&mut self, id: SessionId, is_clean: bool) {
        let will = self.sessions.remove(&id).and_then(|session| session.will);
        if let Some(will) = will.filter(|_| !is_clean) {
            self.forward(publish_of(will));
        }
    }

    /// Adds subscriptions; queues SUBACK, and the retained messages that match.
    pub fn subscribe(&mut self, id: SessionId, subscribe: Subscribe) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let mut codes = Vec::new();
        let mut accepted = Vec::new();
        for filter in subscribe.filters {
            session.filters.retain(|(path, _)| *path != filter.path);
            if !valid_filter(&filter.path) || session.filters.len() >= MAX_FILTERS {
                codes.push(SubscribeReasonCode::Failure);
                continue;
            }
            let qos = lower(filter.qos, QoS::AtLeastOnce);
            codes.push(SubscribeReasonCode::Success(qos));
            session.filters.push((filter.path.clone(), qos));
            accepted.push((filter.path, qos));
        }
        let mut keeps_up = session.send(Packet::SubAck(SubAck::new(subscribe.pkid, codes)));
        for (filter, granted) in accepted {
            for (topic, (qos, payload)) in &self.retained {
                if matches(topic, &filter) {
                    keeps_up = keeps_up && session.publish(topic, payload, lower(granted, *qos), true);
                }
            }
        }
        if !keeps_up {
            self.disconnect(id, false);
        }
    }

    /// Removes subscriptions and returns UNSUBACK.
    pub fn unsubscribe(&mut self, id: SessionId, unsubscribe: &Unsubscribe) -> Packet {
        if let Some(session) = self.sessions.get_mut(&id) {
            session
                .filters
                .retain(|(path, _)| !unsubscribe.topics.contains(path));
        }
        Packet::UnsubAck(UnsubAck {
            pkid: unsubscribe.pkid,
        })
    }

    /// Notes that the client has taken a QoS 1 message.
    pub fn acknowledged(&mut self, id: SessionId, packet_id: u16) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.unacknowledged.remove(&packet_id);
        }
    }

    /// Forwards a message to every subscriber, and stores or deletes it if it is to be retained.
    ///
    /// # Errors
    /// The topic is empty or contains a wildcard.
    pub fn publish(&mut self, publish: Publish) -> Result<()> {
        ensure!(is_topic(&publish.topic), "invalid topic `{}`", publish.topic);
        self.forward(publish);
        Ok(())
    }

    fn forward(&mut self, publish: Publish) {
        // Sessions removed on the way add their wills. Each session has one at most, so this ends.
        let mut pending = vec![publish];
        while let Some(mut publish) = pending.pop() {
            // The codec's payload is a slice of the connection's read buffer; a copy keeps only its own bytes.
            publish.payload = Bytes::copy_from_slice(&publish.payload);
            if publish.retain {
                self.retain(&publish);
            }
            let mut too_slow = Vec::new();
            for (&id, session) in &mut self.sessions {
                let granted = session.granted(&publish.topic);
                if granted.is_some_and(|granted| {
                    !session.publish(
                        &publish.topic,
                        &publish.payload,
                        lower(granted, publish.qos),
                        false,
                    )
                }) {
                    too_slow.push(id);
                }
            }
            for id in too_slow {
                if let Some(session) = self.sessions.remove(&id) {
                    tracing::debug!(client_id = session.client_id, "Slow MQTT client dropped.");
                    pending.extend(session.will.map(publish_of));
                }
            }
        }
    }

    fn retain(&mut self, publish: &Publish) {
        if publish.payload.is_empty() {
            self.retained.remove(&publish.topic);
        } else if self.retained.len() < MAX_RETAINED || self.retained.contains_key(&publish.topic) {
            self.retained
                .insert(publish.topic.clone(), (publish.qos, publish.payload.clone()));
        } else if !self.is_full_logged {
            self.is_full_logged = true;
            tracing::warn!(limit = MAX_RETAINED, "Broker retains no further topics.");
        }
    }
}

impl Session {
    /// Highest QoS of the subscriptions that match a topic.
    fn granted(&self, topic: &str) -> Option<QoS> {
        self.filters
            .iter()
            .filter(|(filter, _)| matches(topic, filter))
            .map(|(_, qos)| *qos)
            .reduce(|a, b| if a < b { b } else { a })
    }

    /// Queues a message; false if the client does not keep up.
    fn publish(&mut self, topic: &str, payload: &Bytes, qos: QoS, retain: bool) -> bool {
        let mut publish = Publish::from_bytes(topic, qos, payload.clone());
        publish.retain = retain;
        if qos == QoS::AtLeastOnce {
            if self.unacknowledged.len() >= MAX_UNACKNOWLEDGED {
                return false;
            }
            publish.pkid = self.next_packet_id();
        }
        self.send(Packet::Publish(publish))
    }

    /// Takes a packet identifier that is not in use; 0 is none.
    fn next_packet_id(&mut self) -> u16 {
        loop {
            self.last_packet_id = self.last_packet_id.checked_add(1).unwrap_or(1);
            if self.unacknowledged.insert(self.last_packet_id) {
                return self.last_packet_id;
            }
        }
    }

    fn send(&mut self, packet: Packet) -> bool {
        self.queue.try_send(packet).is_ok()
    }
}

fn lower(a: QoS, b: QoS) -> QoS {
    if b < a { b } else { a }
}

fn is_topic(topic: &str) -> bool {
    !topic.is_empty() && valid_topic(topic) && !topic.contains('\0')
}

fn publish_of(will: LastWill) -> Publish {
    let mut publish = Publish::from_bytes(will.topic, lower(will.qos, QoS::AtLeastOnce), will.message);
    publish.retain = will.retain;
    publish
}

/// Tests a topic against a valid filter (MQTT 3.1.1, 4.7). rumqttc's own function panics on a topic whose first character
/// is not ASCII, and never matches one that begins with `$`.
fn matches(topic: &str, filter: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    for part in filter.split('/') {
        match (part, levels.next()) {
            // Also matches the parent level: `a/#` matches `a`.
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (part, Some(level)) if part == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn publish(topic: &str, payload: &str, retain: bool) -> Publish {
        let mut publish = Publish::new(topic, QoS::AtLeastOnce, payload);
        publish.retain = retain;
        publish
    }

    fn subscribe(router: &mut Router, id: SessionId, filters: usize) {
        let filters = (0..filters).map(|n| rumqttc::mqttbytes::v4::SubscribeFilter {
            path: format!("filter/{n}"),
            qos: QoS::AtLeastOnce,
        });
        router.subscribe(id, Subscribe::new_many(filters));
    }

    #[test]
    fn topics_match_as_the_standard_says() {
        for (topic, filter, expected) in [
            ("a/b", "a/b", true),
            ("a/b", "a/+", true),
            ("a/b", "+/+", true),
            ("a/b", "+", false),
            ("a/b", "#", true),
            ("a/b", "a/#", true),
            ("a", "a/#", true),
            ("ab", "a/#", false),
            ("a/b/c", "a/+", false),
            ("a", "a/+", false),
            ("/a", "+/+", true),
            ("/a", "/+", true),
            ("a//b", "a/+/b", true),
            ("$SYS/x", "#", false),
            ("$SYS/x", "+/x", false),
            ("$SYS/x", "$SYS/#", true),
            ("a/$x", "a/+", true),
            ("ü/b", "+/b", true),
        ] {
            assert_eq!(matches(topic, filter), expected, "{topic} {filter}");
        }
    }

    #[test]
    fn given_a_full_store_when_a_further_topic_is_retained_then_it_is_only_forwarded() {
        let mut router = Router::default();
        for n in 0..=MAX_RETAINED {
            router.publish(publish(&format!("t/{n}"), "1", true)).unwrap();
        }
        router.publish(publish("t/0", "2", true)).unwrap();
        assert_eq!(router.retained.len(), MAX_RETAINED);
        assert_eq!(router.retained["t/0"].1, "2");
        router.publish(publish("t/0", "", true)).unwrap();
        router.publish(publish("new", "1", true)).unwrap();
        assert!(router.retained.contains_key("new"));
    }

    #[test]
    fn given_a_client_at_its_limit_when_it_subscribes_once_more_then_that_is_refused() {
        let mut router = Router::default();
        let (id, mut outgoing) = router.connect(Connect::new("client"));
        subscribe(&mut router, id, MAX_FILTERS + 1);
        // The same filters again replace the old ones.
        subscribe(&mut router, id, MAX_FILTERS + 1);
        assert!(matches!(outgoing.packets.try_recv(), Ok(Packet::ConnAck(_))));
        for _ in 0..2 {
            let Ok(Packet::SubAck(ack)) = outgoing.packets.try_recv() else {
                panic!("expected SUBACK");
            };
            let (last, first) = ack.return_codes.split_last().unwrap();
            assert!(
                first
                    .iter()
                    .all(|code| *code == SubscribeReasonCode::Success(QoS::AtLeastOnce))
            );
            assert_eq!(*last, SubscribeReasonCode::Failure);
        }
        assert_eq!(router.sessions[&id].filters.len(), MAX_FILTERS);
    }

    #[test]
    fn given_a_client_that_acknowledges_nothing_when_the_limit_is_reached_then_it_is_removed() {
        let mut router = Router::default();
        let (id, mut outgoing) = router.connect(Connect::new("client"));
        router.subscribe(id, Subscribe::new("t", QoS::AtLeastOnce));
        let mut taken = HashSet::new();
        for _ in 0..MAX_UNACKNOWLEDGED {
            router.publish(publish("t", "1", false)).unwrap();
            while let Ok(packet) = outgoing.packets.try_recv() {
                if let Packet::Publish(publish) = packet {
                    assert!(publish.pkid != 0 && taken.insert(publish.pkid));
                }
            }
        }
        assert_eq!(taken.len(), MAX_UNACKNOWLEDGED);
        router.publish(publish("t", "1", false)).unwrap();
        assert!(router.sessions.is_empty());
        assert!(
            outgoing
                .removed
                .try_recv()
                .is_err_and(|e| e == oneshot::error::TryRecvError::Closed)
        );
    }

    #[test]
    fn given_a_client_that_acknowledges_when_identifiers_run_out_then_they_begin_anew() {
        let mut router = Router::default();
        let (id, mut outgoing) = router.connect(Connect::new("client"));
        router.subscribe(id, Subscribe::new("t", QoS::AtLeastOnce));
        let mut last = 0;
        for _ in 0..70_000 {
            router.publish(publish("t", "1", false)).unwrap();
            while let Ok(packet) = outgoing.packets.try_recv() {
                if let Packet::Publish(publish) = packet {
                    last = publish.pkid;
                    router.acknowledged(id, publish.pkid);
                }
            }
        }
        assert_eq!(last, (70_000 - 65_535) as u16);
        assert_eq!(router.sessions.len(), 1);
    }

    proptest! {
        /// The codec is foreign; it must not panic, whatever a client sends.
        #[test]
        fn no_bytes_panic(kind in 0u8..16, flags in 0u8..16, body in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut router = Router::default();
            let (id, _outgoing) = router.connect(Connect::new("client"));
            let mut bytes = bytes::BytesMut::from(&[kind << 4 | flags, body.len() as u8][..]);
            bytes.extend_from_slice(&body);
            while let Ok(packet) = Packet::read(&mut bytes, 200) {
                match packet {
                    Packet::Publish(publish) => drop(router.publish(publish)),
                    Packet::Subscribe(subscribe) => router.subscribe(id, subscribe),
                    Packet::Unsubscribe(unsubscribe) => drop(router.unsubscribe(id, &unsubscribe)),
                    Packet::Connect(connect) => drop(router.connect(connect)),
                    _ => {}
                }
            }
        }
    }
}
