//! Tests of the delivery policy.

use super::*;

fn reading(topic: &str) -> Message {
    Message::reading(topic, "{\"a\":1}", false)
}

fn announcement(topic: &str, payload: &str) -> Message {
    Message::retained(topic, payload, DeliveryClass::Announcement)
}

fn birth() -> Message {
    Message::retained("status", "online", DeliveryClass::State)
}

/// Broker that answers each message by its topic.
struct Broker<'a> {
    delivery: &'a mut Delivery,
    now: Instant,
    next_id: u16,
    arrived: Vec<String>,
    settled: Vec<Settled>,
}

impl<'a> Broker<'a> {
    fn new(delivery: &'a mut Delivery) -> Self {
        Broker {
            delivery,
            now: Instant::now(),
            next_id: 1,
            arrived: Vec::new(),
            settled: Vec::new(),
        }
    }

    /// One connection: closes at the first message for which `accepts` is false. Returns true if it stays open.
    fn connect(&mut self, accepts: impl Fn(&Message) -> bool) -> bool {
        self.delivery.begin(1 << 20, self.now);
        loop {
            self.settled.extend(self.delivery.set_aside(self.now));
            let mut handed = Vec::new();
            while let Some(message) = self.delivery.next_unsent() {
                handed.push(message.clone());
                self.delivery.sent_next();
                self.delivery.written(self.next_id);
                self.next_id += 1;
            }
            if handed.is_empty() {
                return true;
            }
            let first = self.next_id - handed.len() as u16;
            for (id, message) in (first..).zip(handed) {
                if !accepts(&message) {
                    let settled = self.delivery.connection_lost(self.now);
                    self.settled.extend(settled);
                    return false;
                }
                self.arrived.push(message.topic.clone());
                let settled = self.delivery.acknowledged(id, Ok(()), self.now);
                self.settled.extend(settled.unwrap());
            }
        }
    }

    /// Connects until a connection stays open; returns the number of connections.
    fn connect_until_open(&mut self, accepts: impl Fn(&Message) -> bool) -> usize {
        (1..1000).find(|_| self.connect(&accepts)).unwrap()
    }

    fn refused(&self) -> Vec<&str> {
        let refused = self.settled.iter().filter(|settled| settled.result.is_err());
        refused.map(|settled| settled.topic.as_str()).collect()
    }
}

fn with_readings(topics: &[&str]) -> Delivery {
    let mut delivery = Delivery::new(Some(birth()), true);
    topics.iter().for_each(|topic| delivery.enqueue(reading(topic)));
    delivery
}

#[test]
fn given_acknowledgements_in_any_order_twice_and_of_unknown_ids_then_each_message_is_settled_once() {
    let mut delivery = with_readings(&["a", "b", "c"]);
    let now = Instant::now();
    delivery.begin(1000, now);
    for id in 1..=4 {
        delivery.sent_next();
        delivery.written(id);
    }
    let mut topics = Vec::new();
    for id in [3, 3, 77, 1, 4, 2] {
        let settled = delivery.acknowledged(id, Ok(()), now).unwrap();
        topics.extend(settled.into_iter().map(|settled| settled.topic));
    }
    assert_eq!(topics, ["b", "c", "a"]);
    assert!(delivery.is_idle());
}

#[test]
fn given_a_lost_connection_then_what_it_had_is_sent_again_first_and_marked() {
    let mut delivery = with_readings(&["a", "b"]);
    let now = Instant::now();
    delivery.begin(1000, now);
    for id in 1..=3 {
        delivery.sent_next();
        delivery.written(id);
    }
    delivery.acknowledged(2, Ok(()), now).unwrap();
    delivery.enqueue(reading("c"));
    delivery.connection_lost(Instant::now());
    delivery.begin(1000, now);
    let mut again = Vec::new();
    for id in 1..=3 {
        let message = delivery.next_unsent().unwrap();
        again.push((message.topic.clone(), message.payload.clone()));
        delivery.sent_next();
        delivery.written(id);
        delivery.acknowledged(id, Ok(()), now).unwrap();
    }
    let expected = [
        ("status", "online"),
        ("b", r#"{"a":1,"resent":true}"#),
        ("c", r#"{"a":1}"#),
    ];
    assert_eq!(again, expected.map(|(t, p)| (t.into(), p.into())));
}

#[test]
fn given_a_message_at_which_the_broker_hangs_up_then_it_is_set_aside_and_the_rest_arrives_in_order() {
    let mut delivery = with_readings(&["1", "2", "poison", "3", "4"]);
    let mut broker = Broker::new(&mut delivery);
    let connections = broker.connect_until_open(|message| message.topic != "poison");
    assert!(connections <= 7, "{connections}");
    let readings: Vec<&str> = broker
        .arrived
        .iter()
        .map(String::as_str)
        .filter(|topic| *topic != "status")
        .collect();
    assert_eq!(readings, ["1", "2", "3", "4"]);
    assert_eq!(broker.refused(), ["poison"]);
    assert_eq!(delivery.refused(), 1);
}

#[test]
fn given_a_broker_that_hangs_up_at_everything_then_nothing_is_lost() {
    let topics: Vec<String> = (0..30).map(|i| i.to_string()).collect();
    let mut delivery = with_readings(&topics.iter().map(String::as_str).collect::<Vec<_>>());
    let mut broker = Broker::new(&mut delivery);
    for _ in 0..200 {
        assert!(!broker.connect(|message| message.topic == "status"));
    }
    assert!(
        !broker.delivery.take_progress(),
        "it is no use to hurry any longer"
    );
    broker.connect_until_open(|_| true);
    assert_eq!(broker.refused(), Vec::<&str>::new());
    assert_eq!(delivery.delivered(), 30);
}

#[test]
fn given_a_single_message_that_is_refused_then_it_waits_for_another_one_to_be_accepted() {
    let mut delivery = with_readings(&["poison"]);
    let mut broker = Broker::new(&mut delivery);
    let accepts = |message: &Message| message.topic != "poison";
    for _ in 0..3 {
        broker.connect(accepts);
    }
    broker.delivery.enqueue(reading("other"));
    broker.connect_until_open(accepts);
    assert_eq!(broker.refused(), ["poison"]);
}

#[test]
fn given_many_refused_announcements_then_readings_flow_and_few_connections_are_spent() {
    let mut delivery = Delivery::new(Some(birth()), true);
    for i in 0..160 {
        delivery.enqueue(announcement(&format!("ha/{i}"), "{}"));
    }
    for i in 0..20 {
        delivery.enqueue(reading(&format!("r/{i}")));
    }
    let mut broker = Broker::new(&mut delivery);
    let mut connections = 0;
    // Readings go on to come: each shows that the broker accepts something.
    while !broker.connect(|message| !message.topic.starts_with("ha/")) {
        connections += 1;
        broker.delivery.enqueue(reading("r/more"));
    }
    assert!(connections < 20, "{connections}");
    assert_eq!(broker.delivery.refused(), 0);
    assert_eq!(broker.refused().len(), 160);
    // Allowed later, they are announced with a later connection.
    broker.now += Duration::from_secs(3600);
    broker.arrived.clear();
    broker.delivery.connection_lost(broker.now);
    broker.delivery.announce_again(broker.now);
    broker.connect(|_| true);
    assert_eq!(broker.arrived.len(), 161);
}

#[test]
fn given_a_birth_message_that_is_refused_then_readings_flow_without_it() {
    let mut delivery = with_readings(&["1", "2", "3"]);
    let mut broker = Broker::new(&mut delivery);
    let connections = broker.connect_until_open(|message| message.topic != "status");
    assert!(connections <= 5, "{connections}");
    assert_eq!(broker.arrived, ["1", "2", "3"]);
    assert_eq!(broker.refused(), Vec::<&str>::new());
}

#[test]
fn given_a_topic_that_is_refused_then_others_are_not_interrupted_for_long() {
    let mut delivery = Delivery::new(None, true);
    let mut broker = Broker::new(&mut delivery);
    let mut interruptions = 0;
    for i in 0..200 {
        let topic = if i % 2 == 0 { "good" } else { "denied" };
        broker.delivery.enqueue(reading(topic));
        broker.delivery.connection_lost(broker.now);
        interruptions += broker.connect_until_open(|message| message.topic != "denied") - 1;
    }
    assert!(interruptions < 15, "{interruptions}");
    let denied = |topic: &&str| *topic == "denied";
    assert_eq!(
        broker.refused().into_iter().filter(denied).count(),
        broker.refused().len()
    );
    assert_eq!(broker.arrived.len(), 100);
    assert!(broker.refused().len() >= 98);
}

#[test]
fn given_a_refusal_then_a_final_one_settles_the_message_and_another_one_breaks_the_connection() {
    let refusal = |is_final| {
        Err(Refusal {
            reason: "quota".into(),
            is_final,
        })
    };
    let mut delivery = Delivery::new(None, true);
    let now = Instant::now();
    delivery.enqueue(reading("a"));
    for is_final in [false, true] {
        delivery.begin(1000, now);
        delivery.sent_next();
        delivery.written(1);
        let result = delivery.acknowledged(1, refusal(is_final), now);
        assert_eq!(result.is_ok(), is_final);
        delivery.connection_lost(Instant::now());
    }
    assert_eq!((delivery.refused(), delivery.delivered()), (1, 0));
    assert!(delivery.is_idle());
}

#[test]
fn given_messages_that_no_broker_takes_or_this_one_does_not_then_they_are_set_aside_untried() {
    let mut delivery = Delivery::new(None, true);
    for topic in ["", "a+", "a\0", &"x".repeat(MAX_TOPIC + 1)] {
        delivery.enqueue(reading(topic));
    }
    delivery.enqueue(Message::reading("large", "x".repeat(300), false));
    delivery.enqueue(reading("small"));
    delivery.begin(200, Instant::now());
    let settled = delivery.set_aside(Instant::now());
    assert_eq!(settled.len(), 5);
    assert_eq!((settled[4].topic.as_str(), settled[4].bytes), ("large", 300));
    assert_eq!(
        delivery.next_unsent().map(|message| message.topic.as_str()),
        Some("small")
    );
}

#[test]
fn given_announcements_then_they_are_said_again_with_their_last_payload_unless_they_wait() {
    let mut delivery = Delivery::new(None, true);
    for (topic, payload) in [("a", "1"), ("a", "2"), ("b", "3")] {
        delivery.enqueue(announcement(topic, payload));
    }
    let mut broker = Broker::new(&mut delivery);
    broker.connect(|_| true);
    broker.delivery.connection_lost(broker.now);
    broker.delivery.enqueue(announcement("b", "4"));
    broker.delivery.announce_again(broker.now);
    let queued = delivery.queues.others.iter().map(|entry| &entry.message);
    let queued: Vec<_> = queued
        .map(|message| (message.topic.as_str(), message.payload.as_str()))
        .collect();
    assert_eq!(queued, [("b", "4"), ("a", "2")]);
}

#[test]
fn given_states_while_the_broker_is_away_then_only_the_latest_of_each_topic_is_kept() {
    let mut delivery = Delivery::new(None, true);
    for i in 0..1000 {
        let topic = format!("state/{}", i % 3);
        delivery.enqueue(Message::retained(topic, i.to_string(), DeliveryClass::State));
        delivery.connection_lost(Instant::now());
    }
    let payloads = delivery
        .queues
        .others
        .iter()
        .map(|entry| entry.message.payload.as_str());
    assert_eq!(payloads.collect::<Vec<_>>(), ["997", "998", "999"]);
}

#[test]
fn given_a_broker_that_acknowledges_twice_then_each_connection_delivers_a_reading_and_none_is_blamed() {
    let mut delivery = with_readings(&["1", "2", "3", "4", "5"]);
    let now = Instant::now();
    let mut connections = 0;
    while delivery.readings() > 0 {
        connections += 1;
        delivery.begin(1000, now);
        let mut id = 0;
        while delivery.next_unsent().is_some() {
            delivery.sent_next();
            id += 1;
            delivery.written(id);
        }
        // The client ends the connection at the second acknowledgement of the first message.
        delivery.acknowledged(1, Ok(()), now).unwrap();
        delivery.acknowledged(1, Ok(()), now).unwrap();
        delivery.blame_nobody(true);
        assert_eq!(delivery.connection_lost(now), None);
    }
    assert_eq!((connections, delivery.delivered(), delivery.refused()), (6, 5, 0));
}
