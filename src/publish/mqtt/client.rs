//! What the daemon holds of the broker: a thread with a connection, and an inbox.

use crate::publish::homeassistant::DiscoveryCleanup;
use crate::publish::mqtt::MqttConfig;
use crate::publish::mqtt::connection::Connection;
use crate::publish::mqtt::message::{BirthAndWill, Message};
use crate::publish::mqtt::session::IN_FLIGHT;
use crate::publish::mqtt::spool_queue::SpoolQueue;
use crate::status::sink::SinkMetrics;
use crate::store::spool::Spool;
use anyhow::{Context, Result};
use std::sync::Arc;
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
    /// Not acknowledged when time was up, or never taken by the broker, and lost.
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
}

impl Mqtt {
    /// Starts the thread and connects; an absent broker is waited for.
    ///
    /// # Errors
    /// Where no thread or runtime can be had.
    pub fn start(
        settings: MqttConfig,
        presence: BirthAndWill,
        watch: Option<DiscoveryCleanup>,
        counts: Arc<SinkMetrics>,
    ) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the network")?;
        let (inbox, messages) = mpsc::channel(INBOX);
        let (give_up, given_up) = oneshot::channel();
        let shelf = match settings.spool_path() {
            Some(path) => Some(SpoolQueue::new(Spool::open(&path, settings.spool_bytes())?)),
            None => None,
        };
        let (messages, intake) = match shelf.clone() {
            None => (messages, None),
            Some(shelf) => {
                let (to, through) = mpsc::channel(IN_FLIGHT);
                (through, Some(shelf.intake(messages, to)))
            }
        };
        let connection = Connection::new(settings, messages, shelf, presence, watch, counts);
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
        })
    }

    /// Publishes; waits while the inbox is full. False: the thread is gone.
    pub fn publish(&self, message: Message) -> bool {
        self.inbox
            .as_ref()
            .is_some_and(|inbox| inbox.blocking_send(message).is_ok())
    }

    /// The same without waiting. False: there was no room.
    pub fn try_publish(&self, message: Message) -> bool {
        self.inbox
            .as_ref()
            .is_some_and(|inbox| inbox.try_send(message).is_ok())
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
