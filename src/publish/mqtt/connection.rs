//! Connections to the broker, one after the other: I/O around the policies of `Delivery` and `SpoolQueue`.
//!
//! The task never blocks and never drops work halfway. It waits for the spool's thread with [`Link::during`], so that the
//! network is served meanwhile; and it ends on `give_up` only at points where nothing is half done.

use crate::publish::message::{BirthAndWill, DeliveryClass, Message};
use crate::publish::mqtt::broker::BrokerConfig;
use crate::publish::mqtt::delivery::Delivery;
use crate::publish::mqtt::inbox::{Arrival, Inbox};
use crate::publish::mqtt::link::Link;
use crate::publish::mqtt::options::MqttOptions;
use crate::publish::mqtt::outcome::Outcome;
use crate::publish::mqtt::session::{self, MqttClient, SessionEvent};
use crate::publish::mqtt::subscriber::{Reaction, Received, Subscriber};
use crate::publish::mqtt::waiting::Settled;
use crate::runtime::backoff::{FIRST_PAUSE, STEADY, jittered};
use crate::runtime::{Backoff, Cancel, Clock};
use crate::status::sink::SinkMetrics;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Without a PUBACK for this long, readings in flight are written to the spool.
const SILENCE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Way in which a connection ended.
enum End {
    /// Everything is delivered, and the broker knows that the client leaves.
    Delivered,
    /// Time is up.
    GivenUp,
    /// No connection was made, or it has broken, for this reason.
    Broken(String),
}

/// Connection after connection, with what they have in common.
pub(crate) struct Connection {
    clock: Clock,
    settings: BrokerConfig,
    inbox: Inbox,
    delivery: Delivery,
    birth_and_will: BirthAndWill,
    subscriber: Option<Box<dyn Subscriber>>,
    metrics: Arc<SinkMetrics>,
    /// End when everything is delivered.
    stop: Cancel,
    /// End now.
    give_up: Cancel,
    /// Time of the last acknowledgement, or of the connection's beginning.
    progressed: Instant,
    has_logged_refusal: bool,
}

impl Connection {
    /// Prepares connections that take messages from `inbox`.
    pub fn new(
        clock: Clock,
        settings: BrokerConfig,
        inbox: Inbox,
        options: MqttOptions,
        stop: Cancel,
        give_up: Cancel,
    ) -> Self {
        Connection {
            progressed: clock.now(),
            clock,
            settings,
            inbox,
            delivery: Delivery::new(options.marks_resent),
            birth_and_will: options.birth_and_will,
            subscriber: options.subscriber,
            metrics: options.metrics,
            stop,
            give_up,
            has_logged_refusal: false,
        }
    }

    /// Connects until everything is delivered after `stop`, or until `give_up`.
    pub async fn run(mut self) -> Outcome {
        self.connect_for_ever().await;
        // Nothing is in service any more: what is in flight goes to the spool, then what the publishers sent meanwhile.
        self.store(None).await;
        let (kept, lost) = match std::mem::replace(&mut self.inbox, Inbox::Closed) {
            Inbox::Spool(spool) => spool.close().await.unwrap_or_default(),
            Inbox::Memory(mut inbox) => {
                inbox.close();
                while let Ok(message) = inbox.try_recv() {
                    self.delivery.enqueue(message);
                }
                (0, 0)
            }
            Inbox::Closed => (0, 0),
        };
        Outcome {
            delivered: self.delivery.delivered(),
            undelivered: self.delivery.unspooled() + lost + self.delivery.refused(),
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
                Err(error) => End::Broken(format!("{error:#}")),
            };
            self.delivery.connection_lost();
            let End::Broken(reason) = end else {
                return;
            };
            self.store(None).await;
            let lasted = self.clock.now() - begun;
            backoff.ended_after(lasted);
            self.metrics.set_trouble_unlogged(Some(reason.clone()));
            if lasted > STEADY || !has_complained {
                let waiting = self.waiting();
                tracing::warn!(broker = %address, reason, waiting, "No connection to the broker; retrying");
                has_complained = true;
            }
            self.metrics.waiting(self.waiting());
            // The members of a cluster are tried one after the other before the pause grows.
            let is_round = i + 1 == hosts.len();
            let pause = match is_round {
                true => backoff.next_pause(),
                false => jittered(FIRST_PAUSE),
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = self.give_up.cancelled() => return,
            }
        }
    }

    /// Serves one connection, from CONNECT to its end.
    async fn serve(&mut self, address: &str, client: &MqttClient, link: &mut Link) -> End {
        self.delivery.begin();
        self.progressed = self.clock.now();
        let mut is_connected = false;
        let mut is_stopping = false;
        // On the first connection nothing is announced yet, and the profile publishes this message itself.
        let mut ready = self.birth_and_will.ready.clone();
        ready = ready.filter(|_| self.delivery.has_announced());
        let mut silence = tokio::time::interval(SILENCE);
        loop {
            self.metrics.waiting(self.waiting());
            if is_connected {
                self.fill(link).await;
                self.hand_over(client);
                if self.delivery.next_unsent().is_none() {
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
            let room = if is_connected { self.delivery.room() } else { 0 };
            tokio::select! {
                () = self.give_up.cancelled() => return End::GivenUp,
                () = self.stop.cancelled(), if is_connected && !is_stopping => {
                    is_stopping = true;
                    self.close_inbox(link).await;
                }
                arrival = self.inbox.next(), if room > 0 => match arrival {
                    Arrival::Message(message) => self.delivery.enqueue(message),
                    Arrival::InSpool => {}
                    Arrival::End => self.inbox = Inbox::Closed,
                },
                _ = silence.tick(), if is_connected => {
                    // A network that stays up and lets nothing through, or a broker that hangs.
                    let is_silent = self.clock.now() - self.progressed > SILENCE;
                    if is_silent && !self.delivery.is_empty() {
                        self.store(Some(link)).await;
                    }
                }
                event = link.next() => match event {
                    Ok(SessionEvent::Connected) => {
                        is_connected = true;
                        self.connected(address, client, link).await;
                    }
                    Ok(event) => if let Err(reason) = self.handle(event, link).await {
                        return End::Broken(reason);
                    },
                    Err(reason) => return End::Broken(reason),
                },
            }
        }
    }

    /// Handles an event of a connection.
    async fn handle(&mut self, event: SessionEvent, link: &mut Link) -> Result<(), String> {
        match event {
            SessionEvent::Written(id) => self.delivery.written(id),
            SessionEvent::Acknowledged(id, result) => {
                for Settled { topic, result } in self.delivery.acknowledged(id, result)? {
                    self.progressed = self.clock.now();
                    match result {
                        Ok(()) => self.metrics.delivered(),
                        Err(refusal) => self.count_refusal(&topic, &refusal.reason),
                    }
                }
                self.remove_delivered(link).await;
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
            SessionEvent::Connected | SessionEvent::Disconnected | SessionEvent::Other => {}
        }
        Ok(())
    }

    /// CONNACK: sends the birth message, subscribes, and announces again what this process has announced.
    async fn connected(&mut self, address: &str, client: &MqttClient, link: &mut Link) {
        tracing::info!(broker = %address, "Connected to the broker");
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
        let birth = self.birth_and_will.birth.as_ref();
        if birth.is_some_and(|birth| client.publish(birth)) {
            self.delivery.sent_birth();
        }
        let filters = self
            .subscriber
            .as_ref()
            .map(|subscriber| subscriber.topic_filters());
        for filter in filters.iter().flatten() {
            client.subscribe(filter);
        }
        self.delivery.announce_again();
    }

    /// Takes from the spool as much as may be in flight.
    async fn fill(&mut self, link: &mut Link) {
        let room = self.delivery.room();
        let Inbox::Spool(spool) = &self.inbox else {
            return;
        };
        if room == 0 || !spool.has_more() {
            return;
        }
        let taken = link.during(spool.take(room)).await;
        let is_alive = taken.is_some();
        for waiting in taken.into_iter().flatten() {
            let is_inherited = spool.is_inherited(&waiting);
            self.delivery.enqueue_spooled(waiting, is_inherited);
        }
        self.check_spool(is_alive);
    }

    /// Hands the connection what it has not got yet, as far as it has room.
    fn hand_over(&mut self, client: &MqttClient) {
        while let Some(message) = self.delivery.next_unsent() {
            if !client.publish(message) {
                return;
            }
            self.delivery.sent_next();
        }
    }

    /// Writes what is in flight to the spool, so that neither a kill nor a long absence of the broker loses it.
    async fn store(&mut self, link: Option<&mut Link>) {
        let Inbox::Spool(spool) = &self.inbox else {
            return;
        };
        let (slots, removable) = self.delivery.slots_to_store();
        // The queue stays as it is until the answer comes: its places are those of `slots`.
        let stored = during(link, spool.store(slots, removable)).await;
        let is_alive = stored.is_some();
        if let Some(stored) = stored {
            self.delivery.stored(&stored.keys);
            for waiting in stored.more {
                self.delivery.enqueue_spooled(waiting, false);
            }
        }
        self.check_spool(is_alive);
    }

    /// Removes delivered rows from the spool, once it is worth a transaction.
    async fn remove_delivered(&mut self, link: &mut Link) {
        let Inbox::Spool(spool) = &self.inbox else {
            return;
        };
        if let Some(last) = self.delivery.take_removable() {
            let removed = link.during(spool.remove_through(last)).await;
            self.check_spool(removed.is_some());
        }
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

    fn count_refusal(&mut self, topic: &str, reason: &str) {
        if !std::mem::replace(&mut self.has_logged_refusal, true) {
            tracing::error!(
                topic,
                reason,
                "The broker will not take a message; it and others like it are lost"
            );
        }
        self.metrics.lost(1);
    }

    fn receive(&mut self, message: &Received<'_>) {
        let reaction = self
            .subscriber
            .as_ref()
            .map(|subscriber| subscriber.receive(message));
        match reaction {
            Some(Reaction::AnnounceAgain) => self.delivery.announce_again(),
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
        self.delivery.len() + self.inbox.len()
    }

    /// Returns true if the publishers are gone and everything is acknowledged.
    fn is_done(&self) -> bool {
        self.inbox.is_finished() && self.delivery.is_empty()
    }

    /// Ends the connection cleanly: the broker discards the last will, so its counterpart is published here.
    async fn say_goodbye(&self, client: &MqttClient, link: &mut Link) -> End {
        if let Some(goodbye) = &self.birth_and_will.goodbye {
            client.publish(goodbye);
        }
        client.disconnect();
        let written =
            async { while !matches!(link.next().await, Ok(SessionEvent::Disconnected) | Err(_)) {} };
        tokio::select! {
            () = written => End::Delivered,
            () = self.give_up.cancelled() => End::GivenUp,
        }
    }
}

/// Waits for `work` and polls the session meanwhile, if there is one.
async fn during<T>(link: Option<&mut Link>, work: impl Future<Output = T>) -> T {
    match link {
        Some(link) => link.during(work).await,
        None => work.await,
    }
}
