//! What the daemon holds of the broker: a thread with a connection, and an inbox.

use super::Settings;
use super::connection::{Connection, IN_FLIGHT};
use super::message::{Message, Sort, topic_id};
use super::shelf::Shelf;
use super::spool::Spool;
use crate::sink::homeassistant::{Announcement, Watch};
use anyhow::{Context, Result};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// Readings that may wait for the network.
const INBOX: usize = 1024;
/// What an interrupted process gives the broker; all of it must be gone within 2 s.
pub const HURRIED: Duration = Duration::from_millis(1500);

/// How it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Acknowledged by the broker.
    pub delivered: u64,
    /// Not acknowledged when time was up, and lost.
    pub undelivered: u64,
    /// Not acknowledged when time was up, and kept on the disk for the next start.
    pub kept: u64,
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
        let shelf = match settings.spool_path() {
            Some(path) => Some(Shelf::new(Spool::open(&path, settings.spool_bytes())?)),
            None => None,
        };
        let (messages, intake) = match shelf.clone() {
            None => (messages, None),
            Some(shelf) => {
                let (to, through) = mpsc::channel(IN_FLIGHT);
                (through, Some(shelf.intake(messages, to)))
            }
        };
        let connection = Connection::new(settings, messages, shelf, watch);
        let thread = std::thread::Builder::new()
            .name("mqtt".into())
            .spawn(move || {
                runtime.block_on(async move {
                    let intake = intake.map(tokio::spawn);
                    connection.run(given_up, intake).await
                })
            })
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
        Message::reading(topic, payload, self.retain)
    }

    /// Publishes an announcement, now and whenever a connection is made or Home Assistant starts. False: there was
    /// no room.
    pub fn announce(&self, announcement: Announcement) -> bool {
        let message = Message::retained(announcement.topic, announcement.payload, Sort::Announcement);
        self.inbox
            .as_ref()
            .is_some_and(|inbox| inbox.try_send(message).is_ok())
    }

    /// Publishes the state of a receiver, retained, as far as there is room: the next one says more.
    pub fn publish_state(&self, receiver: &str, payload: String) {
        let topic = format!("{}/metertap/{receiver}/state", self.prefix);
        let message = Message::retained(topic, payload, Sort::State);
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
