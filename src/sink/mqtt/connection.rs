//! The connection. What was not acknowledged is sent again, in order, over the next connection.
//!
//! rumqttc keeps what it has taken only as long as the broker keeps its session, which it seldom does. So each
//! connection gets a client of its own, and what was handed to it stays in our queue until its PUBACK.

use super::Settings;
use super::client::{HURRIED, Outcome};
use super::message::{Message, Sort, Waiting};
use super::settings::Backlog;
use super::shelf::Shelf;
use crate::secret::Secret;
use crate::sink::homeassistant::Watch;
use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, LastWill, MqttOptions, Outgoing,
    Packet, QoS,
};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// Messages under way to the broker.
pub(super) const IN_FLIGHT: usize = 100;
/// Largest packet either way: an IDM line has 900 bytes, a foreign retained message may have more.
const MAX_PACKET: usize = 1 << 20;
/// Without a PUBACK for so long, what is under way goes to the disk.
const SILENT: Duration = Duration::from_secs(2);
/// So many delivered messages are taken off the disk at once.
const REMOVE: u64 = 32;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Connection after connection.
pub(super) struct Connection {
    settings: Settings,
    inbox: mpsc::Receiver<Message>,
    /// What Home Assistant and the broker tell.
    watch: Option<Watch>,
    /// What is to be said again, by topic.
    announced: BTreeMap<String, String>,
    /// Not yet acknowledged; the first `sent` of them have been handed to the present connection.
    waiting: VecDeque<Waiting>,
    sent: usize,
    /// On the disk where the broker is away, if there is one.
    shelf: Option<Shelf>,
    /// The last number that is delivered, and still on the disk.
    to_remove: Option<u64>,
    /// When something was last acknowledged.
    moved: Instant,
    /// Packet ids of those, in the same order, as far as they have been written, and which are acknowledged.
    ids: VecDeque<(u16, bool)>,
    delivered: u64,
    inbox_open: bool,
}

impl Connection {
    /// Takes messages from `inbox`, and from the shelf if there is one.
    pub fn new(
        settings: Settings,
        inbox: mpsc::Receiver<Message>,
        shelf: Option<Shelf>,
        watch: Option<Watch>,
    ) -> Self {
        Connection {
            shelf,
            to_remove: None,
            moved: Instant::now(),
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

    /// Until all is delivered and the inbox is closed, or it is given up.
    pub async fn run(mut self, given_up: oneshot::Receiver<()>, intake: Option<JoinHandle<()>>) -> Outcome {
        tokio::select! {
            () = self.connect_for_ever() => {}
            _ = given_up => {}
        }
        self.shelve();
        // What has come in the meantime goes to the disk as well.
        if let Some(intake) = intake {
            let _ = timeout(HURRIED, intake).await;
        }
        self.inbox.close();
        if let (Some(shelf), Some(key)) = (&self.shelf, self.to_remove) {
            shelf.delivered(key);
        }
        while let Ok(message) = self.inbox.try_recv() {
            self.wait(message, None);
        }
        let is_left = |waiting: &&Waiting| waiting.key.is_none() && waiting.message.is_reading();
        let left = self.waiting.iter().filter(is_left).count() as u64;
        let (kept, lost) = self.shelf.as_ref().map_or((0, 0), Shelf::close);
        Outcome {
            delivered: self.delivered,
            undelivered: left + lost,
            kept,
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
                    self.shelve();
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
        let mut silence = tokio::time::interval(SILENT);
        self.moved = Instant::now();
        loop {
            if connected {
                self.fill();
                self.hand_over(&client);
                let is_done = !self.inbox_open && self.waiting.is_empty() && !status_pending;
                if is_done && self.shelf.as_ref().is_none_or(Shelf::is_drained) {
                    return self.say_goodbye(&client, &mut events).await;
                }
            }
            // Not while connecting: a message would break off the attempt.
            let may_take = connected && self.inbox_open && self.waiting.len() < IN_FLIGHT;
            let came = self.shelf.as_ref().map(|shelf| shelf.came.clone());
            tokio::select! {
                message = self.inbox.recv(), if may_take => match message {
                    Some(message) => self.wait(message, None),
                    None => self.inbox_open = false,
                },
                () = async { came.as_ref().expect("asked only if there is one").notified().await }, if connected && came.is_some() => {}
                _ = silence.tick(), if connected && self.shelf.is_some() => {
                    // A network that stands open and swallows everything.
                    if !self.waiting.is_empty() && self.moved.elapsed() > SILENT {
                        self.shelve();
                    }
                }
                event = events.poll() => match event? {
                    Event::Incoming(Packet::ConnAck(_)) => {
                        tracing::info!(broker = %address, "Connected to the broker.");
                        connected = true;
                        if let (Some(shelf), Backlog::Latest) = (&self.shelf, self.settings.backlog) {
                            shelf.thin();
                        }
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
            let nothing = Message::retained(message.topic.clone(), String::new(), Sort::State);
            self.wait(nothing, None);
        }
    }

    /// A broker may have forgotten, and Home Assistant does. What is waiting anyway is not said twice.
    fn announce_again(&mut self) {
        let waiting = |topic: &String| self.waiting.iter().any(|waiting| waiting.message.topic == *topic);
        let missing: Vec<Message> = self
            .announced
            .iter()
            .filter(|(topic, _)| !waiting(topic))
            .map(|(topic, payload)| Message::retained(topic.clone(), payload.clone(), Sort::State))
            .collect();
        for message in missing {
            self.wait(message, None);
        }
    }

    fn wait(&mut self, message: Message, key: Option<u64>) {
        if message.sort == Sort::Announcement {
            self.announced
                .insert(message.topic.clone(), message.payload.clone());
        }
        self.waiting.push_back(Waiting { message, key });
    }

    /// Takes from the inbox, and then from the disk, as much as may be under way.
    fn fill(&mut self) {
        let Some(shelf) = self.shelf.clone() else {
            return;
        };
        while self.waiting.len() < IN_FLIGHT {
            match self.inbox.try_recv() {
                Ok(message) => self.wait(message, None),
                Err(_) => break,
            }
        }
        if self.waiting.len() < IN_FLIGHT {
            for (key, message) in shelf.load(IN_FLIGHT - self.waiting.len()) {
                self.wait(message, Some(key));
            }
        }
    }

    /// Puts on the disk what is under way, so that neither a kill nor a long absence loses it.
    fn shelve(&mut self) {
        let Some(shelf) = self.shelf.clone() else {
            return;
        };
        while let Ok(message) = self.inbox.try_recv() {
            self.wait(message, None);
        }
        // What has no number stands either in front of everything on the disk, or behind it. What stands between
        // two parts of it, while a slow broker is there, stays in memory.
        let is_drained = shelf.is_drained();
        let on_disk = self.waiting.iter().position(|waiting| waiting.key.is_some());
        let border = on_disk.unwrap_or(if is_drained { 0 } else { self.waiting.len() });
        let end = if is_drained { self.waiting.len() } else { border };
        let unnumbered = |range: std::ops::Range<usize>| -> Vec<usize> {
            let is_meant =
                |i: &usize| self.waiting[*i].key.is_none() && self.waiting[*i].message.is_reading();
            range.filter(is_meant).collect()
        };
        let places = [unnumbered(0..border), unnumbered(border..end)];
        let messages = |places: &[usize]| -> Vec<Message> {
            places.iter().map(|i| self.waiting[*i].message.clone()).collect()
        };
        let (front, behind) = shelf.keep(&messages(&places[0]), &messages(&places[1]));
        for (places, begin) in places.iter().zip([front, behind]) {
            for (place, key) in places.iter().zip(begin.into_iter().flat_map(|begin| begin..)) {
                self.waiting[*place].key = Some(key);
            }
        }
    }

    fn options(&self) -> MqttOptions {
        let settings = &self.settings;
        let mut options = greeting(settings);
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
        Message::retained(self.settings.status_topic(), status.into(), Sort::State)
    }

    /// Gives the connection what it has not had yet, as far as it takes it.
    fn hand_over(&mut self, client: &AsyncClient) {
        while let Some(waiting) = self.waiting.get(self.sent) {
            if !self.publish(client, &waiting.message) {
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
            let acknowledged = self.waiting.pop_front();
            self.sent -= 1;
            self.delivered += 1;
            self.moved = Instant::now();
            if let Some(key) = acknowledged.and_then(|waiting| waiting.key) {
                self.to_remove = Some(key);
            }
        }
        // Not for each one: every change of the disk costs it.
        let is_last = self.waiting.iter().all(|waiting| waiting.key.is_none());
        if let (Some(shelf), Some(key)) = (&self.shelf, self.to_remove) {
            if is_last || key % REMOVE == 0 {
                shelf.delivered(key);
                self.to_remove = None;
            }
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

/// How the broker is greeted.
pub(super) fn greeting(settings: &Settings) -> MqttOptions {
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
