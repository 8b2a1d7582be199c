//! The broker over real sockets, spoken to packet by packet.

use super::Broker;
use super::connection::MAX_PACKET;
use bytes::BytesMut;
use rumqttc::mqttbytes::v4::{
    Connect, ConnectReturnCode, LastWill, Packet, PubAck, Publish, Subscribe, SubscribeReasonCode,
    Unsubscribe,
};
use rumqttc::mqttbytes::{Error, QoS};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Ends a test that would otherwise wait for ever; none waits this long.
const DEADLINE: Duration = Duration::from_secs(20);

struct Client {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Client {
    fn open(broker: &Broker) -> Self {
        let stream = TcpStream::connect(broker.address()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Client {
            stream,
            buffer: BytesMut::new(),
        }
    }

    fn connect(broker: &Broker, id: &str) -> Self {
        Self::connect_as(broker, Connect::new(id))
    }

    fn connect_as(broker: &Broker, connect: Connect) -> Self {
        let mut client = Client::open(broker);
        client.send(&Packet::Connect(connect));
        match client.next() {
            Some(Packet::ConnAck(ack)) => assert_eq!(ack.code, ConnectReturnCode::Success),
            other => panic!("{other:?}"),
        }
        client
    }

    fn subscribed(broker: &Broker, id: &str, filter: &str, qos: QoS) -> Self {
        let mut client = Client::connect(broker, id);
        assert_eq!(client.subscribe(filter, qos), SubscribeReasonCode::Success(qos));
        client
    }

    fn subscribe(&mut self, filter: &str, qos: QoS) -> SubscribeReasonCode {
        let mut subscribe = Subscribe::new(filter, qos);
        subscribe.pkid = 7;
        self.send(&Packet::Subscribe(subscribe));
        match self.next() {
            Some(Packet::SubAck(ack)) => {
                assert_eq!(ack.pkid, 7);
                ack.return_codes[0]
            }
            other => panic!("{other:?}"),
        }
    }

    /// Publishes with QoS 1 and waits for the acknowledgment.
    fn publish(&mut self, topic: &str, payload: &str, retain: bool) {
        let mut publish = Publish::new(topic, QoS::AtLeastOnce, payload);
        publish.pkid = 5;
        publish.retain = retain;
        self.send(&Packet::Publish(publish));
        assert_eq!(self.next(), Some(Packet::PubAck(PubAck::new(5))));
    }

    fn send(&mut self, packet: &Packet) {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, usize::MAX).unwrap();
        self.stream.write_all(&bytes).unwrap();
    }

    /// The next packet; `None` once the broker has closed the connection.
    fn next(&mut self) -> Option<Packet> {
        loop {
            match Packet::read(&mut self.buffer, usize::MAX) {
                Ok(packet) => return Some(packet),
                Err(Error::InsufficientBytes(_)) => {}
                Err(error) => panic!("{error}"),
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(n) => self.buffer.extend_from_slice(&chunk[..n]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Topic, payload, QoS and retain flag of the next message.
    fn message(&mut self) -> (String, String, QoS, bool) {
        match self.next() {
            Some(Packet::Publish(publish)) => (
                publish.topic,
                String::from_utf8(publish.payload.to_vec()).unwrap(),
                publish.qos,
                publish.retain,
            ),
            other => panic!("{other:?}"),
        }
    }

    /// Proves that nothing else was queued before.
    fn ping(&mut self) {
        self.send(&Packet::PingReq);
        assert_eq!(self.next(), Some(Packet::PingResp));
    }
}

fn owned(topic: &str, payload: &str, qos: QoS, retain: bool) -> (String, String, QoS, bool) {
    (topic.into(), payload.into(), qos, retain)
}

fn broker() -> Broker {
    Broker::start(0).unwrap()
}

#[test]
fn given_several_subscribers_when_a_message_matches_then_each_gets_it_once_with_the_lower_qos() {
    let broker = broker();
    let mut one = Client::subscribed(&broker, "one", "a/+/c", QoS::AtLeastOnce);
    // Overlapping subscriptions give one copy.
    assert_eq!(
        one.subscribe("a/#", QoS::AtMostOnce),
        SubscribeReasonCode::Success(QoS::AtMostOnce)
    );
    let mut two = Client::subscribed(&broker, "two", "#", QoS::AtMostOnce);
    let mut other = Client::subscribed(&broker, "other", "b/#", QoS::AtMostOnce);
    let mut publisher = Client::connect(&broker, "publisher");
    publisher.publish("a/b/c", "1", false);
    publisher.send(&Packet::Publish(Publish::new("a/x/c", QoS::AtMostOnce, "2")));
    publisher.ping();
    assert_eq!(one.message(), owned("a/b/c", "1", QoS::AtLeastOnce, false));
    assert_eq!(one.message(), owned("a/x/c", "2", QoS::AtMostOnce, false));
    assert_eq!(two.message(), owned("a/b/c", "1", QoS::AtMostOnce, false));
    assert_eq!(two.message(), owned("a/x/c", "2", QoS::AtMostOnce, false));
    one.ping();
    two.ping();
    other.ping();
}

#[test]
fn given_retained_messages_when_a_subscriber_comes_late_then_it_gets_the_last_of_each_until_deleted() {
    let broker = broker();
    let mut publisher = Client::connect(&broker, "publisher");
    publisher.publish("r/1", "old", true);
    publisher.publish("r/1", "new", true);
    publisher.publish("r/2", "other", true);
    publisher.publish("r/3", "passing", false);
    let mut late = Client::subscribed(&broker, "late", "r/#", QoS::AtLeastOnce);
    assert_eq!(late.message(), owned("r/1", "new", QoS::AtLeastOnce, true));
    assert_eq!(late.message(), owned("r/2", "other", QoS::AtLeastOnce, true));
    late.ping();
    publisher.publish("r/1", "", true);
    // Present subscribers see the deletion.
    assert_eq!(late.message(), owned("r/1", "", QoS::AtLeastOnce, false));
    let mut later = Client::subscribed(&broker, "later", "r/#", QoS::AtMostOnce);
    assert_eq!(later.message(), owned("r/2", "other", QoS::AtMostOnce, true));
    later.ping();
}

#[test]
fn given_a_subscription_when_it_is_removed_then_nothing_more_comes() {
    let broker = broker();
    let mut client = Client::subscribed(&broker, "client", "a", QoS::AtLeastOnce);
    let mut unsubscribe = Unsubscribe::new("a");
    unsubscribe.pkid = 9;
    client.send(&Packet::Unsubscribe(unsubscribe));
    assert!(matches!(client.next(), Some(Packet::UnsubAck(ack)) if ack.pkid == 9));
    client.publish("a", "1", false);
    client.ping();
}

#[test]
fn given_a_last_will_when_the_connection_is_lost_then_it_is_published_but_not_after_disconnect() {
    let broker = broker();
    let mut watcher = Client::subscribed(&broker, "watcher", "will/#", QoS::AtLeastOnce);
    let with_will = |topic: &str| {
        let mut connect = Connect::new("");
        connect.last_will = Some(LastWill::new(topic, "gone", QoS::AtLeastOnce, true));
        Client::connect_as(&broker, connect)
    };
    let mut polite = with_will("will/polite");
    polite.send(&Packet::Disconnect);
    assert_eq!(polite.next(), None);
    drop(with_will("will/lost"));
    assert_eq!(
        watcher.message(),
        owned("will/lost", "gone", QoS::AtLeastOnce, false)
    );
    let mut late = Client::subscribed(&broker, "late", "will/#", QoS::AtLeastOnce);
    assert_eq!(late.message(), owned("will/lost", "gone", QoS::AtLeastOnce, true));
    late.ping();
    watcher.ping();
}

#[test]
fn given_a_client_when_another_takes_its_identifier_then_the_first_is_closed() {
    let broker = broker();
    let mut first = Client::connect(&broker, "same");
    let mut second = Client::connect(&broker, "same");
    assert_eq!(first.next(), None);
    second.ping();
}

#[test]
fn given_a_silent_client_when_its_keep_alive_expires_then_it_is_closed_and_others_stay() {
    let broker = broker();
    let mut connect = Connect::new("silent");
    connect.keep_alive = 1;
    let mut silent = Client::connect_as(&broker, connect);
    let mut connect = Connect::new("patient");
    connect.keep_alive = 0;
    let mut patient = Client::connect_as(&broker, connect);
    assert_eq!(silent.next(), None);
    patient.ping();
}

#[test]
fn given_bad_packets_when_they_come_then_only_their_connection_is_closed() {
    let broker = broker();
    let mut good = Client::subscribed(&broker, "good", "a", QoS::AtLeastOnce);
    // Before CONNECT: another packet; a reserved type; an endless length; bytes of HTTP.
    for bytes in [
        &b"\xc0\x00"[..],
        b"\xf0\x01\x00",
        b"\x10\xff\xff\xff\xff\x7f",
        b"GET / HTTP/1.1\r\n\r\n",
    ] {
        let mut bad = Client::open(&broker);
        bad.stream.write_all(bytes).unwrap();
        assert_eq!(bad.next(), None, "{bytes:?}");
    }
    // After CONNECT: a second one, QoS 2, topics with wildcards or without anything, a packet beyond the limit.
    let mut second = Publish::new("a", QoS::ExactlyOnce, "2");
    second.pkid = 1;
    for packet in [
        Packet::Connect(Connect::new("again")),
        Packet::Publish(second),
        Packet::Publish(Publish::new("a/+", QoS::AtMostOnce, "")),
        Packet::Publish(Publish::new("", QoS::AtMostOnce, "")),
        Packet::PingResp,
        Packet::Publish(Publish::new("a", QoS::AtMostOnce, vec![b'x'; MAX_PACKET])),
    ] {
        let mut bad = Client::connect(&broker, "");
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, usize::MAX).unwrap();
        // The broker may close before it has read everything.
        let _ = bad.stream.write_all(&bytes);
        assert_eq!(bad.next(), None, "{packet:?}");
    }
    good.publish("b", "1", false);
    good.ping();
}

#[test]
fn given_clients_that_cannot_be_served_when_they_connect_then_they_are_told_why() {
    let broker = broker();
    let mut newer = Connect::new("newer");
    newer.protocol = rumqttc::mqttbytes::Protocol::V5;
    let mut nameless = Connect::new("");
    nameless.clean_session = false;
    for (connect, code) in [
        (newer, ConnectReturnCode::RefusedProtocolVersion),
        (nameless, ConnectReturnCode::BadClientId),
    ] {
        let mut client = Client::open(&broker);
        client.send(&Packet::Connect(connect));
        assert!(matches!(client.next(), Some(Packet::ConnAck(ack)) if ack.code == code));
        assert_eq!(client.next(), None);
    }
}

#[test]
fn given_filters_that_are_no_filters_when_subscribed_then_they_are_refused() {
    let broker = broker();
    let mut client = Client::connect(&broker, "client");
    for filter in ["", "a#", "a/#/b", "a+/b"] {
        assert_eq!(
            client.subscribe(filter, QoS::AtMostOnce),
            SubscribeReasonCode::Failure,
            "{filter}"
        );
    }
    // QoS 2 is granted as 1.
    assert_eq!(
        client.subscribe("a/#", QoS::ExactlyOnce),
        SubscribeReasonCode::Success(QoS::AtLeastOnce)
    );
}

#[test]
fn given_a_subscriber_that_reads_nothing_when_its_queue_is_full_then_it_is_dropped_and_others_go_on() {
    let broker = broker();
    let mut connect = Connect::new("stuck");
    connect.keep_alive = 0;
    connect.last_will = Some(LastWill::new("will", "stuck is gone", QoS::AtMostOnce, false));
    let mut stuck = Client::connect_as(&broker, connect);
    stuck.subscribe("flood", QoS::AtMostOnce);
    let mut watcher = Client::subscribed(&broker, "watcher", "will", QoS::AtMostOnce);
    let mut publisher = Client::connect(&broker, "publisher");
    // More than the queue and the buffers of both sockets hold (Linux: 6 + 4 MiB at most).
    let payload = "x".repeat(16 * 1024);
    for _ in 0..super::router::MAX_QUEUE + 1024 {
        publisher.publish("flood", &payload, false);
    }
    assert_eq!(
        watcher.message(),
        owned("will", "stuck is gone", QoS::AtMostOnce, false)
    );
    publisher.ping();
}

#[test]
fn given_a_port_in_use_when_started_then_the_error_names_it() {
    let broker = broker();
    let port = broker.address().port();
    let error = Broker::start(port).unwrap_err();
    assert!(format!("{error:#}").contains(&format!("port {port} (use --port)")));
}

#[test]
fn given_a_running_broker_when_dropped_then_clients_are_closed_and_the_port_is_free() {
    let broker = broker();
    let port = broker.address().port();
    let mut client = Client::connect(&broker, "client");
    drop(broker);
    assert_eq!(client.next(), None);
    drop(client);
    Broker::start(port).unwrap();
}
