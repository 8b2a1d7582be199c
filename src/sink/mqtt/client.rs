//! The connection. What was not acknowledged is sent again, in order, over the next connection.
//!
//! rumqttc keeps what it has taken only as long as the broker keeps its session, which it seldom does. So each
//! connection gets a client of its own, and what was handed to it stays in our queue until its PUBACK.

use super::Settings;
use crate::secret::Secret;
use crate::sink::homeassistant::{Announcement, Watch};
use anyhow::{Context, Result};
use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, LastWill, MqttOptions, Outgoing,
    Packet, QoS,
};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

/// Readings that may wait for the network.
const INBOX: usize = 1024;
/// Messages under way to the broker.
const IN_FLIGHT: usize = 100;
/// Largest packet either way: an IDM line has 900 bytes, a foreign retained message may have more.
const MAX_PACKET: usize = 1 << 20;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// What an interrupted process gives the broker; all of it must be gone within 2 s.
pub const HURRIED: Duration = Duration::from_millis(1500);
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A message to be published.
#[derive(Clone, Debug)]
struct Message {
    topic: String,
    payload: String,
    retain: bool,
    /// To be said again over every new connection.
    again: bool,
}

/// How it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Acknowledged by the broker.
    pub delivered: u64,
    /// Not acknowledged when time was up.
    pub undelivered: u64,
}

/// The sink: a thread with a connection.
pub struct Mqtt {
    inbox: Option<mpsc::Sender<Message>>,
    /// Sent when there is no more time.
    give_up: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<Outcome>,
    /// `readings`
    prefix: String,
    /// Whether readings are retained.
    retain: bool,
}

impl Mqtt {
    /// Starts the thread and connects; an absent broker is waited for.
    ///
    /// # Errors
    /// Where no thread or runtime can be had.
    pub fn start(settings: Settings, watch: Option<Watch>) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the network")?;
        let (inbox, messages) = mpsc::channel(INBOX);
        let (give_up, given_up) = oneshot::channel();
        let (prefix, retain) = (settings.readings.clone(), settings.retain);
        let worker = Worker::new(settings, messages, watch);
        let thread = std::thread::Builder::new()
            .name("mqtt".into())
            .spawn(move || runtime.block_on(worker.run(given_up)))
            .context("cannot start a thread")?;
        Ok(Mqtt {
            inbox: Some(inbox),
            give_up,
            thread,
            prefix,
            retain,
        })
    }

    /// Publishes `payload` under `<prefix>/<id>/<kind>`; waits while the inbox is full. False: the thread is gone.
    pub fn publish(&self, id: &str, kind: &str, payload: String) -> bool {
        self.inbox
            .as_ref()
            .is_some_and(|inbox| inbox.blocking_send(self.message(id, kind, payload)).is_ok())
    }

    /// The same without waiting. False: there was no room, and the message is lost.
    pub fn try_publish(&self, id: &str, kind: &str, payload: String) -> bool {
        self.inbox
            .as_ref()
            .is_some_and(|inbox| inbox.try_send(self.message(id, kind, payload)).is_ok())
    }

    fn message(&self, id: &str, kind: &str, payload: String) -> Message {
        let topic = format!("{}/{}/{kind}", self.prefix, topic_id(id));
        Message {
            topic,
            payload,
            retain: self.retain,
            again: false,
        }
    }

    /// Publishes an announcement, now and whenever a connection is made or Home Assistant starts. False: there was
    /// no room.
    pub fn announce(&self, announcement: Announcement) -> bool {
        let message = Message {
            topic: announcement.topic,
            payload: announcement.payload,
            retain: true,
            again: true,
        };
        self.inbox
            .as_ref()
            .is_some_and(|inbox| inbox.try_send(message).is_ok())
    }

    /// Publishes the state of a receiver, retained, as far as there is room: the next one says more.
    pub fn publish_state(&self, receiver: &str, payload: String) {
        let message = Message {
            topic: format!("{}/metertap/{receiver}/state", self.prefix),
            payload,
            retain: true,
            again: false,
        };
        if let Some(inbox) = &self.inbox {
            let _ = inbox.try_send(message);
        }
    }

    /// Delivers what is left and says goodbye. Waits for the broker for at most `patience`, and for
    /// [`HURRIED`] once `hurry` is true.
    pub fn finish(mut self, patience: Duration, hurry: impl Fn() -> bool) -> Outcome {
        self.inbox = None;
        let mut deadline = Instant::now() + patience;
        let mut hurried = false;
        while !self.thread.is_finished() && Instant::now() < deadline {
            if !hurried && hurry() {
                hurried = true;
                deadline = deadline.min(Instant::now() + HURRIED);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.give_up.send(());
        self.thread.join().unwrap_or_default()
    }
}

struct Worker {
    settings: Settings,
    inbox: mpsc::Receiver<Message>,
    /// What Home Assistant and the broker tell.
    watch: Option<Watch>,
    /// What is to be said again, by topic.
    announced: BTreeMap<String, String>,
    /// Not yet acknowledged; the first `sent` of them have been handed to the present connection.
    waiting: VecDeque<Message>,
    sent: usize,
    /// Packet ids of those, in the same order, as far as they have been written, and which are acknowledged.
    ids: VecDeque<(u16, bool)>,
    delivered: u64,
    inbox_open: bool,
}

impl Worker {
    fn new(settings: Settings, inbox: mpsc::Receiver<Message>, watch: Option<Watch>) -> Self {
        Worker {
            settings,
            inbox,
            watch,
            announced: BTreeMap::new(),
            waiting: VecDeque::with_capacity(IN_FLIGHT),
            sent: 0,
            ids: VecDeque::with_capacity(IN_FLIGHT),
            delivered: 0,
            inbox_open: true,
        }
    }

    async fn run(mut self, given_up: oneshot::Receiver<()>) -> Outcome {
        tokio::select! {
            () = self.connect_for_ever() => {}
            _ = given_up => {}
        }
        self.inbox.close();
        let mut undelivered = self.waiting.len() as u64;
        while self.inbox.try_recv().is_ok() {
            undelivered += 1;
        }
        Outcome {
            delivered: self.delivered,
            undelivered,
        }
    }

    /// Connection after connection, with growing pauses; ends when all is delivered and the inbox is closed.
    async fn connect_for_ever(&mut self) {
        let mut pause = FIRST_PAUSE;
        let mut complained = false;
        let address = format!("{}:{}", self.settings.host, self.settings.port);
        loop {
            let begun = Instant::now();
            match self.connect(&address).await {
                Ok(()) => return,
                Err(error) => {
                    if begun.elapsed() > LONGEST_PAUSE {
                        (pause, complained) = (FIRST_PAUSE, false);
                    }
                    if !complained {
                        tracing::warn!(broker = %address, reason = reason(&error), waiting = self.waiting.len(), "No connection to the broker. Trying again until there is one.");
                        complained = true;
                    }
                }
            }
            sleep(pause.mul_f64(0.75 + jitter() / 2.0)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// One connection, from CONNECT to its end. `Ok`: everything is delivered and said.
    async fn connect(&mut self, address: &str) -> Result<(), ConnectionError> {
        let (client, mut events) = AsyncClient::new(self.options(), IN_FLIGHT + 8);
        self.sent = 0;
        self.ids.clear();
        let mut status_pending = false;
        let mut connected = false;
        loop {
            if connected {
                self.hand_over(&client);
                if !self.inbox_open && self.waiting.is_empty() && !status_pending {
                    return self.say_goodbye(&client, &mut events).await;
                }
            }
            // Not while connecting: a message would break off the attempt.
            let may_take = connected && self.inbox_open && self.waiting.len() < IN_FLIGHT;
            tokio::select! {
                message = self.inbox.recv(), if may_take => match message {
                    Some(message) => {
                        if message.again {
                            self.announced.insert(message.topic.clone(), message.payload.clone());
                        }
                        self.waiting.push_back(message);
                    }
                    None => self.inbox_open = false,
                },
                event = events.poll() => match event? {
                    Event::Incoming(Packet::ConnAck(_)) => {
                        tracing::info!(broker = %address, "Connected to the broker.");
                        connected = true;
                        // The status goes first and has the first packet id.
                        status_pending = self.publish(&client, &self.status("online"));
                        if let Some(watch) = &self.watch {
                            for topic in [&watch.birth, &watch.announced] {
                                let _ = client.try_subscribe(topic, QoS::AtLeastOnce);
                            }
                        }
                        self.announce_again();
                    }
                    Event::Incoming(Packet::Publish(message)) => self.told(&message),
                    Event::Outgoing(Outgoing::Publish(id)) => self.ids.push_back((id, false)),
                    Event::Incoming(Packet::PubAck(ack)) => self.acknowledge(ack.pkid, &mut status_pending),
                    _ => {}
                },
            }
        }
    }

    /// Somebody else has said something that we listen to.
    fn told(&mut self, message: &rumqttc::Publish) {
        let Some(watch) = &self.watch else {
            return;
        };
        if message.topic == watch.birth {
            if *message.payload == *b"online" && !message.retain {
                tracing::info!("Home Assistant has started: it is told of all meters again.");
                self.announce_again();
            }
        } else if !self.announced.contains_key(&message.topic) && watch.is_stale(&message.payload) {
            tracing::info!(topic = %message.topic, "A meter has left the configuration: Home Assistant forgets it.");
            self.waiting.push_back(Message {
                topic: message.topic.clone(),
                payload: String::new(),
                retain: true,
                again: false,
            });
        }
    }

    /// A broker may have forgotten, and Home Assistant does. What is waiting anyway is not said twice.
    fn announce_again(&mut self) {
        for (topic, payload) in &self.announced {
            if !self.waiting.iter().any(|message| message.topic == *topic) {
                self.waiting.push_back(Message {
                    topic: topic.clone(),
                    payload: payload.clone(),
                    retain: true,
                    again: false,
                });
            }
        }
    }

    fn options(&self) -> MqttOptions {
        let settings = &self.settings;
        let mut options = connection(settings);
        options.set_inflight(IN_FLIGHT as u16);
        options.set_last_will(LastWill::new(
            settings.status_topic(),
            "offline",
            QoS::AtLeastOnce,
            true,
        ));
        options
    }

    fn status(&self, status: &str) -> Message {
        Message {
            topic: self.settings.status_topic(),
            payload: status.into(),
            retain: true,
            again: false,
        }
    }

    /// Gives the connection what it has not had yet, as far as it takes it.
    fn hand_over(&mut self, client: &AsyncClient) {
        while let Some(message) = self.waiting.get(self.sent) {
            if !self.publish(client, message) {
                return;
            }
            self.sent += 1;
        }
    }

    fn publish(&self, client: &AsyncClient, message: &Message) -> bool {
        client
            .try_publish(
                &message.topic,
                QoS::AtLeastOnce,
                message.retain,
                message.payload.as_str(),
            )
            .is_ok()
    }

    /// Takes acknowledged messages off the front. Brokers acknowledge in order, but need not.
    fn acknowledge(&mut self, id: u16, status_pending: &mut bool) {
        if let Some(entry) = self.ids.iter_mut().find(|entry| entry.0 == id && !entry.1) {
            entry.1 = true;
        }
        while let Some(&(_, true)) = self.ids.front() {
            self.ids.pop_front();
            if std::mem::take(status_pending) {
                continue;
            }
            self.waiting.pop_front();
            self.sent -= 1;
            self.delivered += 1;
        }
    }

    /// A clean end: the last will is not sent, so we say it ourselves.
    async fn say_goodbye(&self, client: &AsyncClient, events: &mut EventLoop) -> Result<(), ConnectionError> {
        self.publish(client, &self.status("offline"));
        let _ = client.try_disconnect();
        loop {
            match events.poll().await {
                Ok(Event::Outgoing(Outgoing::Disconnect)) | Err(_) => return Ok(()),
                Ok(_) => {}
            }
        }
    }
}

/// An id as it stands in a topic: those of wired meters are whatever their makers wrote.
pub fn topic_id(id: &str) -> String {
    id.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "_")
}

/// How the broker is greeted.
pub(super) fn connection(settings: &Settings) -> MqttOptions {
    let client_id = settings.client_id.clone().unwrap_or_else(|| {
        format!(
            "metertap-{}-{:04x}",
            std::process::id(),
            (jitter() * 65536.0) as u16
        )
    });
    let mut options = MqttOptions::new(client_id, &settings.host, settings.port);
    options.set_keep_alive(KEEP_ALIVE);
    options.set_max_packet_size(MAX_PACKET, MAX_PACKET);
    if let Some(username) = &settings.username {
        options.set_credentials(username, settings.password.as_ref().map_or("", Secret::reveal));
    }
    options
}

/// Why, for a person.
pub(super) fn reason(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ConnectionRefused(
            ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized,
        ) => "the broker refuses user name or password".into(),
        ConnectionError::Io(e) => e.to_string(),
        other => other.to_string(),
    }
}

/// 0 to 1, different in every process: the low bits of the clock.
fn jitter() -> f64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    f64::from(now.map_or(0, |now| now.subsec_nanos()) % 1000) / 1000.0
}
