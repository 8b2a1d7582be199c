//! Connections to the broker, one after the other: I/O around the policies of `Delivery` and `Backlog`.
//!
//! The task never blocks and never drops work halfway. It waits for the spool's thread with [`Link::during`], so that the
//! network is served meanwhile; and it ends on `give_up` only at points where nothing is half done.

use crate::publish::message::{BirthAndWill, DeliveryClass, Message};
use crate::publish::mqtt::broker::BrokerConfig;
use crate::publish::mqtt::delivery::Delivery;
use crate::publish::mqtt::inbox::{Arrival, Inbox, Others};
use crate::publish::mqtt::link::Link;
use crate::publish::mqtt::options::MqttOptions;
use crate::publish::mqtt::outcome::Outcome;
use crate::publish::mqtt::session::{self, MqttClient, SessionEvent};
use crate::publish::mqtt::session_error::{Fault, SessionError};
use crate::publish::mqtt::subscriber::{Reaction, Received, Subscriber};
use crate::publish::mqtt::takeover::Takeovers;
use crate::publish::mqtt::waiting::{IN_FLIGHT, Settled};
use crate::runtime::backoff::{FIRST_PAUSE, jittered};
use crate::runtime::{Backoff, Cancel, Clock};
use crate::status::sink::{LossReason, SinkMetrics};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Pause after a connection that ended at an acknowledgement of the broker's own making: the next one works as well.
const ACK_PAUSE: Duration = Duration::from_millis(100);
/// Interval at which the queue is looked at even if nothing happens: parked messages are tried again after a time.
const LOOK: Duration = Duration::from_secs(10);
/// Time for the broker to close the connection after DISCONNECT.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);
/// Room in flight from which on more readings are taken: each time asks the spool's thread.
const REFILL: usize = IN_FLIGHT / 4;
/// Refused messages that are logged; further ones are only counted.
const MAX_LOGGED_REFUSALS: u32 = 20;

const SAME_ID: &str = "The broker closes each connection soon after it was made; probably another client uses the same client id: \
    set mqtt.client_id to a name of its own";
const ACKNOWLEDGES_TWICE: &str = "The broker acknowledges a message twice, or one that was never sent; each time a new connection is \
    made";

/// Way in which a connection ended.
enum End {
    /// Everything is delivered, and the broker knows that the client leaves.
    Delivered,
    /// Time is up.
    GivenUp,
    /// No connection was made, or it has broken.
    Broken(SessionError),
}

/// Connection after connection, with what they have in common.
pub(crate) struct Connection {
    clock: Clock,
    settings: BrokerConfig,
    inbox: Inbox,
    others: Arc<Others>,
    delivery: Delivery,
    birth_and_will: BirthAndWill,
    subscriber: Option<Box<dyn Subscriber>>,
    metrics: Arc<SinkMetrics>,
    /// End when everything is delivered.
    stop: Cancel,
    /// End now.
    give_up: Cancel,
    /// CONNACK has come on the present connection.
    is_connected: bool,
    was_connected_before: bool,
    /// The publishers are gone.
    is_stopping: bool,
    /// Keys that are settled and that the spool's thread does not know yet.
    settled: Vec<u64>,
    logged_refusals: u32,
    takeovers: Takeovers,
    /// Condition that has ended the last connection, and was logged.
    condition: Option<&'static str>,
}

impl Connection {
    /// Prepares connections that take messages from `inbox` and `others`.
    pub fn new(
        clock: Clock,
        settings: BrokerConfig,
        inbox: Inbox,
        others: Arc<Others>,
        options: MqttOptions,
        stop: Cancel,
        give_up: Cancel,
    ) -> Self {
        let birth = options.birth_and_will.birth.clone();
        Connection {
            clock,
            settings,
            inbox,
            others,
            delivery: Delivery::new(birth, options.marks_resent),
            birth_and_will: options.birth_and_will,
            subscriber: options.subscriber,
            metrics: options.metrics,
            stop,
            give_up,
            is_connected: false,
            was_connected_before: false,
            is_stopping: false,
            settled: Vec::with_capacity(IN_FLIGHT),
            logged_refusals: 0,
            takeovers: Takeovers::default(),
            condition: None,
        }
    }

    /// Connects until everything is delivered after `stop`, or until `give_up`.
    pub async fn run(mut self) -> Outcome {
        self.connect_for_ever().await;
        self.others.close();
        let (kept, unsaved) = match std::mem::replace(&mut self.inbox, Inbox::Closed) {
            Inbox::Spool(spool) => {
                if !self.settled.is_empty() {
                    spool.settled(std::mem::take(&mut self.settled)).await;
                }
                (spool.close().await.unwrap_or_default(), 0)
            }
            Inbox::Memory(mut inbox) => {
                inbox.close();
                while let Ok((number, message)) = inbox.try_recv() {
                    self.delivery.enqueue_numbered(number, message);
                }
                (0, self.delivery.readings() as u64)
            }
            Inbox::Closed => (0, self.delivery.readings() as u64),
        };
        self.metrics.lost(LossReason::Stopped, unsaved);
        Outcome {
            delivered: self.delivery.delivered(),
            undelivered: self.metrics.status().lost,
            kept,
        }
    }

    /// Connects to the hosts in turn, with growing pauses after each round.
    async fn connect_for_ever(&mut self) {
        let mut backoff = Backoff::new(LONGEST_PAUSE);
        let mut has_complained = false;
        let hosts = self.settings.hosts.clone();
        for (i, host) in hosts.iter().enumerate().cycle() {
            let begun = self.clock.now();
            let address = self.settings.display(host);
            let opened = session::open(&self.settings, host, self.birth_and_will.will.as_ref()).await;
            let end = match opened {
                Ok((client, session)) => self.serve(&address, &client, &mut Link::new(session)).await,
                Err(error) => End::Broken(SessionError::new(format!("{error:#}"))),
            };
            let was_connected = std::mem::take(&mut self.is_connected);
            let lasted = self.clock.now() - begun;
            let fault = match &end {
                End::Broken(error) => error.fault,
                End::Delivered | End::GivenUp => Fault::Unknown,
            };
            let is_idle = self.delivery.has_nothing_in_flight();
            match fault {
                _ if !was_connected => self.takeovers.failed(),
                Fault::UnknownAck => self.delivery.blame_nobody(true),
                Fault::TakenOver => {
                    self.takeovers.ended(lasted, true);
                    self.delivery.blame_nobody(false);
                }
                Fault::Unknown | Fault::Oversized => self.takeovers.ended(lasted, is_idle),
            }
            self.others.set_connected(false);
            let settled = self.delivery.connection_lost(self.clock.now());
            self.count(settled.into_iter().collect());
            let End::Broken(SessionError { reason, .. }) = end else {
                return;
            };
            backoff.ended_after(lasted);
            // A broker that acknowledges twice ends each connection, also one that only said that this client is online.
            let is_in_a_hurry = fault != Fault::UnknownAck || self.delivery.readings() > 0;
            let has_progressed = self.delivery.take_progress() && is_in_a_hurry;
            if has_progressed {
                backoff = Backoff::new(LONGEST_PAUSE);
            }
            self.metrics.set_trouble_unlogged(Some(reason.clone()));
            // A connection that was made and has broken is news each time, an attempt that fails only once.
            if !self.log_condition(fault, &address) && (was_connected || !has_complained) {
                let waiting = self.waiting();
                tracing::warn!(broker = %address, reason, waiting, "No connection to the broker; retrying");
                has_complained = true;
            }
            if fault == Fault::Oversized && self.subscriber.take().is_some() {
                tracing::warn!(
                    "A retained message of another client is too large; no longer listening to other clients"
                );
            }
            self.metrics.waiting(self.waiting());
            // The members of a cluster are tried one after the other before the pause grows.
            let is_round = i + 1 == hosts.len();
            let pause = match is_round {
                _ if fault == Fault::UnknownAck && has_progressed => ACK_PAUSE,
                true => backoff.next_pause(),
                false => jittered(FIRST_PAUSE),
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = self.give_up.cancelled() => return,
            }
        }
    }

    /// Logs, once, a condition that ends one connection after the other; returns true if there is one, so that the next end is no
    /// news.
    fn log_condition(&mut self, fault: Fault, address: &str) -> bool {
        let condition = match fault {
            Fault::UnknownAck => Some(ACKNOWLEDGES_TWICE),
            _ if self.takeovers.are_likely() => Some(SAME_ID),
            _ => None,
        };
        if let Some(condition) = condition.filter(|_| condition != self.condition) {
            let client_id = self.settings.client_id.as_deref().unwrap_or("random");
            tracing::warn!(broker = %address, client_id, "{condition}");
        }
        self.condition = condition;
        condition.is_some()
    }

    /// Serves one connection, from CONNECT to its end.
    async fn serve(&mut self, address: &str, client: &MqttClient, link: &mut Link) -> End {
        // On the first connection nothing is announced yet, and the profile publishes this message itself.
        let mut ready = self.birth_and_will.ready.clone();
        ready = ready.filter(|_| self.delivery.has_announced());
        let mut look = tokio::time::interval(LOOK);
        loop {
            self.metrics.waiting(self.waiting());
            if self.is_connected {
                self.fill(link).await;
                self.hand_over(client);
                self.report_settled(link).await;
                if self.delivery.next_unsent().is_none() && self.others.len() == 0 {
                    if let Some(ready) = ready.take() {
                        self.delivery.enqueue(ready);
                        continue;
                    }
                }
                if self.is_done() {
                    return self.say_goodbye(client, link).await;
                }
            }
            // Before CONNACK only the end may interrupt the session: any other branch would start its attempt over.
            let room = if self.is_connected {
                self.delivery.room()
            } else {
                0
            };
            tokio::select! {
                () = self.give_up.cancelled() => return End::GivenUp,
                () = self.stop.cancelled(), if self.is_connected && !self.is_stopping => {
                    self.is_stopping = true;
                    self.close_inbox(link).await;
                }
                () = self.others.arrived(), if self.is_connected => {}
                _ = look.tick(), if self.is_connected => {}
                arrival = self.inbox.next(), if room > 0 => match arrival {
                    Arrival::Message(number, message) => self.delivery.enqueue_numbered(number, message),
                    Arrival::InSpool => {}
                    Arrival::End => self.inbox = Inbox::Closed,
                },
                event = link.next() => match event {
                    Ok(SessionEvent::Connected { max_packet }) => {
                        self.connected(address, client, link, max_packet).await;
                    }
                    Ok(event) => if let Err(reason) = self.handle(event) {
                        return End::Broken(SessionError::new(reason));
                    },
                    Err(error) => return End::Broken(error),
                },
            }
        }
    }

    /// Handles an event of a connection.
    fn handle(&mut self, event: SessionEvent) -> Result<(), String> {
        match event {
            SessionEvent::Written(id) => self.delivery.written(id),
            SessionEvent::Acknowledged(id, result) => {
                let settled = self.delivery.acknowledged(id, result, self.clock.now())?;
                self.count(settled);
            }
            SessionEvent::Received {
                topic,
                payload,
                is_retained,
            } => self.receive(&Received {
                topic: &topic,
                payload: &payload,
                is_retained,
            }),
            SessionEvent::Connected { .. } | SessionEvent::Disconnected | SessionEvent::Other => {}
        }
        Ok(())
    }

    /// CONNACK: sends the birth message first, subscribes, and announces again what this process has announced.
    async fn connected(&mut self, address: &str, client: &MqttClient, link: &mut Link, max_packet: usize) {
        if self.condition.is_none() {
            tracing::info!(broker = %address, "Connected to the broker");
        }
        self.is_connected = true;
        if self.was_connected_before {
            self.others.keep_latest();
        }
        self.was_connected_before = true;
        self.others.set_connected(true);
        self.metrics.set_trouble_unlogged(None);
        let is_latest_only = self
            .settings
            .spool
            .as_ref()
            .is_some_and(|spool| spool.is_latest_only);
        if let (Inbox::Spool(spool), true) = (&self.inbox, is_latest_only) {
            let kept = link.during(spool.keep_latest()).await;
            self.check_spool(kept.is_some());
        }
        self.delivery.begin(max_packet, self.clock.now());
        self.delivery.announce_again(self.clock.now());
        self.hand_over(client);
        let filters = self
            .subscriber
            .as_ref()
            .map(|subscriber| subscriber.topic_filters());
        let own = self.birth_and_will.will.as_ref().map(|will| &will.topic);
        for filter in filters.iter().flatten().chain(own) {
            client.subscribe(filter);
        }
    }

    /// Takes as much as may be in flight.
    async fn fill(&mut self, link: &mut Link) {
        for (number, message) in self.others.take() {
            self.delivery.enqueue_numbered(number, message);
        }
        if let Inbox::Memory(inbox) = &mut self.inbox {
            // Readings that precede the announcements and states just taken are here by now.
            while self.delivery.room() > 0 {
                let Ok((number, message)) = inbox.try_recv() else {
                    break;
                };
                self.delivery.enqueue_numbered(number, message);
            }
        }
        let room = self.delivery.room();
        let Inbox::Spool(spool) = &self.inbox else {
            return;
        };
        let is_low = room >= REFILL || self.is_stopping;
        if room == 0 || !is_low || !spool.has_more() {
            return;
        }
        let taken = link.during(spool.take(room)).await;
        let is_alive = taken.is_some();
        for waiting in taken.into_iter().flatten() {
            self.delivery.enqueue_waiting(waiting);
        }
        self.check_spool(is_alive);
    }

    /// Hands the connection what it has not got yet, as far as it has room.
    fn hand_over(&mut self, client: &MqttClient) {
        let settled = self.delivery.set_aside(self.clock.now());
        self.count(settled);
        while let Some(message) = self.delivery.next_unsent() {
            if !client.publish(message) {
                return;
            }
            self.delivery.sent_next();
        }
    }

    /// Tells the spool's thread which readings are settled, once no further events are at hand.
    async fn report_settled(&mut self, link: &mut Link) {
        let Inbox::Spool(spool) = &self.inbox else {
            self.settled.clear();
            return;
        };
        if self.settled.is_empty() || (!link.is_empty() && self.settled.len() < IN_FLIGHT) {
            return;
        }
        let reported = link
            .during(spool.settled(std::mem::take(&mut self.settled)))
            .await;
        self.check_spool(reported.is_some());
    }

    async fn close_inbox(&mut self, link: &mut Link) {
        match &mut self.inbox {
            // What it holds can still be received.
            Inbox::Memory(inbox) => inbox.close(),
            Inbox::Spool(spool) => {
                let closed = link.during(spool.close_inbox()).await;
                self.check_spool(closed.is_some());
            }
            Inbox::Closed => {}
        }
    }

    /// Goes on without the spool if its thread has panicked: what is in flight can still be delivered until the daemon
    /// restarts this component.
    fn check_spool(&mut self, is_alive: bool) {
        if !is_alive {
            self.inbox = Inbox::Closed;
        }
    }

    fn count(&mut self, settled: Vec<Settled>) {
        for Settled {
            key,
            is_reading,
            topic,
            bytes,
            result,
        } in settled
        {
            self.settled.extend(key);
            let Err(refusal) = result else {
                self.metrics.delivered();
                continue;
            };
            if is_reading {
                self.metrics.lost(LossReason::Refused, 1);
            }
            self.logged_refusals += 1;
            if self.logged_refusals <= MAX_LOGGED_REFUSALS {
                tracing::error!(
                    topic,
                    bytes,
                    reason = refusal.reason,
                    "The broker will not take a message; it is set aside"
                );
            }
            if self.logged_refusals == MAX_LOGGED_REFUSALS {
                tracing::error!("Further messages that the broker will not take are counted only");
            }
        }
    }

    fn receive(&mut self, message: &Received<'_>) {
        let will = self.birth_and_will.will.as_ref();
        if let Some(will) = will.filter(|will| will.topic == message.topic) {
            // The last will of an earlier connection, which the broker has given up only now.
            if will.payload.as_bytes() == message.payload && !self.is_stopping {
                let birth = &self.birth_and_will.birth;
                if let Some(state) = self.birth_and_will.ready.as_ref().or(birth.as_ref()) {
                    tracing::info!(topic = message.topic, "Status corrected after a late last will");
                    self.delivery.enqueue(state.clone());
                }
            }
            return;
        }
        let reaction = self
            .subscriber
            .as_ref()
            .map(|subscriber| subscriber.receive(message));
        match reaction {
            Some(Reaction::AnnounceAgain) => self.delivery.announce_again(self.clock.now()),
            Some(Reaction::Clear) if !self.delivery.has_announced_on(message.topic) => {
                tracing::info!(topic = message.topic, "Stale announcement deleted");
                let empty = Message::retained(message.topic, "", DeliveryClass::State);
                self.delivery.enqueue(empty);
            }
            Some(Reaction::Clear | Reaction::Ignore) | None => {}
        }
    }

    /// Number of messages that are not acknowledged, wherever they wait.
    fn waiting(&self) -> usize {
        let others = self.delivery.others() + self.others.len();
        let readings = match &self.inbox {
            // It counts what is in flight, too.
            Inbox::Spool(spool) => spool.len().max(self.delivery.readings()),
            Inbox::Memory(inbox) => inbox.len() + self.delivery.readings(),
            Inbox::Closed => self.delivery.readings(),
        };
        readings + others
    }

    /// Returns true if the publishers are gone and everything that can be sent is acknowledged.
    fn is_done(&self) -> bool {
        self.inbox.is_finished() && self.delivery.is_idle() && self.others.len() == 0
    }

    /// Ends the connection cleanly: the broker discards the last will, so its counterpart is published here.
    async fn say_goodbye(&self, client: &MqttClient, link: &mut Link) -> End {
        if let Some(goodbye) = &self.birth_and_will.goodbye {
            client.publish(goodbye);
        }
        client.disconnect();
        let written = async {
            while !matches!(link.next().await, Ok(SessionEvent::Disconnected) | Err(_)) {}
            // The broker closes the connection. If that were done here while messages from it are unread, the system would
            // reset the connection, and the broker might not see the DISCONNECT.
            let closed = async { while link.next().await.is_ok() {} };
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, closed).await;
        };
        tokio::select! {
            () = written => End::Delivered,
            () = self.give_up.cancelled() => End::GivenUp,
        }
    }
}
