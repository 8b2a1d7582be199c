//! The connection. What was not acknowledged is sent again, in order, over the next connection.
//!
//! rumqttc keeps what it has taken only as long as the broker keeps its session, which it seldom does. So each
//! connection gets a client of its own, and what was handed to it stays in our queue until its PUBACK.

use crate::publish::homeassistant::DiscoveryCleanup;
use crate::publish::mqtt::MqttConfig;
use crate::publish::mqtt::client::{HURRIED, Outcome};
use crate::publish::mqtt::config::Backlog;
use crate::publish::mqtt::message::{BirthAndWill, DeliveryClass, Message, Waiting};
use crate::publish::mqtt::session::{IN_FLIGHT, MqttClient, Refusal, Session, SessionEvent, begin, jitter};
use crate::publish::mqtt::spool_queue::SpoolQueue;
use crate::status::sink::SinkMetrics;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// Without a PUBACK for so long, what is under way goes to the disk.
const SILENT: Duration = Duration::from_secs(2);
/// So many delivered messages are taken off the disk at once.
const REMOVE: u64 = 32;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Connection after connection.
pub(crate) struct Connection {
    settings: MqttConfig,
    inbox: mpsc::Receiver<Message>,
    /// What Home Assistant and the broker tell.
    watch: Option<DiscoveryCleanup>,
    /// What is said of ourselves.
    presence: BirthAndWill,
    /// Readings that are sent again say so.
    marks: bool,
    /// What is to be said again, by topic.
    announced: BTreeMap<String, String>,
    /// Not yet acknowledged; the first `sent` of them have been handed to the present connection.
    waiting: VecDeque<Waiting>,
    sent: usize,
    /// On the disk where the broker is away, if there is one.
    shelf: Option<SpoolQueue>,
    /// So many on the disk, the oldest, may have been under way when an earlier process ended.
    inherited: usize,
    /// The last number that is delivered, and still on the disk.
    to_remove: Option<u64>,
    /// When something was last acknowledged.
    moved: Instant,
    /// Packet ids of those, in the same order, as far as they have been written, and which are acknowledged.
    ids: VecDeque<(u16, Option<Result<(), Refusal>>)>,
    /// Words on ourselves that are under way, in front of everything else.
    words: usize,
    delivered: u64,
    /// What others may know of all this.
    counts: Arc<SinkMetrics>,
    /// The broker will never take these.
    refused: u64,
    inbox_open: bool,
}

impl Connection {
    /// Takes messages from `inbox`, and from the shelf if there is one.
    pub fn new(
        settings: MqttConfig,
        inbox: mpsc::Receiver<Message>,
        shelf: Option<SpoolQueue>,
        presence: BirthAndWill,
        watch: Option<DiscoveryCleanup>,
        counts: Arc<SinkMetrics>,
    ) -> Self {
        Connection {
            counts,
            marks: settings.profile.is_house(),
            presence,
            words: 0,
            refused: 0,
            shelf,
            inherited: IN_FLIGHT,
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
        let (kept, lost) = self.shelf.as_ref().map_or((0, 0), SpoolQueue::close);
        Outcome {
            delivered: self.delivered,
            undelivered: left + lost + self.refused,
            kept,
        }
    }

    /// Connection after connection, with growing pauses; ends when all is delivered and the inbox is closed.
    async fn connect_for_ever(&mut self) {
        let mut pause = FIRST_PAUSE;
        let mut complained = false;
        let brokers = self.settings.host.clone();
        for (i, broker) in brokers.iter().enumerate().cycle() {
            let begun = Instant::now();
            let address = self.settings.shown(broker);
            let ended = match begin(&self.settings, broker, self.presence.will.as_ref()) {
                Ok((speaker, session)) => self.connect(&address, &speaker, session).await,
                Err(error) => Err(format!("{error:#}")),
            };
            let Err(reason) = ended else {
                return;
            };
            self.mark_resent();
            self.shelve();
            if begun.elapsed() > LONGEST_PAUSE {
                (pause, complained) = (FIRST_PAUSE, false);
            }
            self.counts.set_trouble_unlogged(Some(reason.clone()));
            if !complained {
                tracing::warn!(broker = %address, reason, waiting = self.waiting.len(), "No connection to the broker. Trying again until there is one.");
                complained = true;
            }
            self.count();
            // Of a cluster, each is tried before the pause grows.
            let is_round = i + 1 == brokers.len();
            let wait = if is_round { pause } else { FIRST_PAUSE };
            sleep(wait.mul_f64(0.75 + jitter() / 2.0)).await;
            if is_round {
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    /// One connection, from CONNECT to its end. `Ok`: everything is delivered and said.
    async fn connect(
        &mut self,
        address: &str,
        speaker: &MqttClient,
        mut session: Session,
    ) -> Result<(), String> {
        self.sent = 0;
        self.ids.clear();
        self.words = 0;
        let mut connected = false;
        // The first time, whoever announces says so himself.
        let mut ready = self.presence.ready.clone().filter(|_| !self.announced.is_empty());
        let mut silence = tokio::time::interval(SILENT);
        self.moved = Instant::now();
        loop {
            self.count();
            if connected {
                self.fill();
                self.hand_over(speaker);
                if self.sent == self.waiting.len() {
                    if let Some(ready) = ready.take() {
                        self.wait(ready, None);
                        continue;
                    }
                }
                let is_done = !self.inbox_open && self.waiting.is_empty() && self.words == 0;
                if is_done && self.shelf.as_ref().is_none_or(SpoolQueue::is_drained) {
                    self.say_goodbye(speaker, &mut session).await;
                    return Ok(());
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
                said = session.next() => match said? {
                    SessionEvent::Connected => {
                        tracing::info!(broker = %address, "Connected to the broker.");
                        connected = true;
                        self.counts.set_trouble_unlogged(None);
                        if let (Some(shelf), Backlog::Latest) = (&self.shelf, self.settings.backlog) {
                            shelf.thin();
                        }
                        // The first words have the first packet ids.
                        if self.presence.hello.as_ref().is_some_and(|hello| speaker.publish(hello)) {
                            self.words += 1;
                        }
                        if let Some(watch) = &self.watch {
                            for topic in watch.announced.iter().chain([&watch.birth]) {
                                speaker.subscribe(topic);
                            }
                        }
                        self.announce_again();
                    }
                    SessionEvent::Heard { topic, payload, retain } => self.told(topic, &payload, retain),
                    SessionEvent::Sent(id) => self.ids.push_back((id, None)),
                    SessionEvent::Acknowledged(id, result) => self.acknowledge(id, result)?,
                    SessionEvent::Goodbye | SessionEvent::Nothing => {}
                },
            }
        }
    }

    /// How many wait, here and on the disk.
    fn count(&self) {
        let on_disk = self.shelf.as_ref().map_or(0, SpoolQueue::left);
        self.counts
            .waiting(self.waiting.len() + self.inbox.len() + on_disk);
    }

    /// What was handed to a connection that is over may have come, or not.
    fn mark_resent(&mut self) {
        let sent = std::mem::take(&mut self.sent);
        if self.marks {
            self.waiting
                .iter_mut()
                .take(sent)
                .for_each(|waiting| waiting.message.mark_resent());
        }
    }

    /// Somebody else has said something that we listen to.
    fn told(&mut self, topic: String, payload: &[u8], retain: bool) {
        let Some(watch) = &self.watch else {
            return;
        };
        if topic == watch.birth {
            if payload == b"online" && !retain {
                tracing::info!("Home Assistant has started: it is told of all meters again.");
                self.announce_again();
            }
        } else if !self.announced.contains_key(&topic) && watch.is_stale(&topic, payload) {
            tracing::info!(
                topic,
                "A meter has left the configuration: Home Assistant forgets it."
            );
            self.wait(Message::retained(topic, "", DeliveryClass::State), None);
        }
    }

    /// A broker may have forgotten, and Home Assistant does. What is waiting anyway is not said twice.
    fn announce_again(&mut self) {
        let waiting = |topic: &String| self.waiting.iter().any(|waiting| waiting.message.topic == *topic);
        let missing: Vec<Message> = self
            .announced
            .iter()
            .filter(|(topic, _)| !waiting(topic))
            .map(|(topic, payload)| Message::retained(topic.clone(), payload.clone(), DeliveryClass::State))
            .collect();
        for message in missing {
            self.wait(message, None);
        }
    }

    fn wait(&mut self, message: Message, key: Option<u64>) {
        if message.sort == DeliveryClass::Announcement {
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
            for (key, mut message) in shelf.load(IN_FLIGHT - self.waiting.len()) {
                if self.marks && shelf.is_inherited(key) && self.inherited > 0 {
                    self.inherited -= 1;
                    message.mark_resent();
                }
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
        let message = |i: &usize| {
            let mut message = self.waiting[*i].message.clone();
            // What was handed to the connection may have come: whoever finds it on the disk cannot know.
            if self.marks && *i < self.sent {
                message.mark_resent();
            }
            message
        };
        let messages = |places: &[usize]| -> Vec<Message> { places.iter().map(message).collect() };
        let (front, behind) = shelf.keep(&messages(&places[0]), &messages(&places[1]));
        for (places, begin) in places.iter().zip([front, behind]) {
            for (place, key) in places.iter().zip(begin.into_iter().flat_map(|begin| begin..)) {
                self.waiting[*place].key = Some(key);
            }
        }
    }

    /// Gives the connection what it has not had yet, as far as it takes it.
    fn hand_over(&mut self, speaker: &MqttClient) {
        while let Some(waiting) = self.waiting.get(self.sent) {
            if !speaker.publish(&waiting.message) {
                return;
            }
            self.sent += 1;
        }
    }

    /// Takes acknowledged messages off the front. Brokers acknowledge in order, but need not.
    fn acknowledge(&mut self, id: u16, result: Result<(), Refusal>) -> Result<(), String> {
        if let Err(refusal) = &result {
            if !refusal.is_final {
                return Err(format!("the broker does not take it: {}", refusal.reason));
            }
        }
        if let Some(entry) = self
            .ids
            .iter_mut()
            .find(|entry| entry.0 == id && entry.1.is_none())
        {
            entry.1 = Some(result);
        }
        while let Some((_, Some(_))) = self.ids.front() {
            let Some((_, Some(result))) = self.ids.pop_front() else {
                break;
            };
            if self.words > 0 {
                self.words -= 1;
                continue;
            }
            let acknowledged = self.waiting.pop_front();
            self.sent = self.sent.saturating_sub(1);
            self.moved = Instant::now();
            match (result, &acknowledged) {
                (Err(refusal), Some(waiting)) => self.refuse(&refusal, &waiting.message.topic),
                _ => {
                    self.delivered += 1;
                    self.counts.delivered();
                }
            }
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
        Ok(())
    }

    fn refuse(&mut self, refusal: &Refusal, topic: &str) {
        if self.refused == 0 {
            tracing::error!(
                topic,
                reason = refusal.reason,
                "The broker will not take a message; this one and others like it are lost."
            );
        }
        self.refused += 1;
        self.counts.lost(1);
    }

    /// A clean end: the last will is not published, so we say it ourselves.
    async fn say_goodbye(&self, speaker: &MqttClient, session: &mut Session) {
        if let Some(goodbye) = &self.presence.goodbye {
            speaker.publish(goodbye);
        }
        speaker.disconnect();
        while !matches!(session.next().await, Ok(SessionEvent::Goodbye) | Err(_)) {}
    }
}
