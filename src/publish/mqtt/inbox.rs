//! Way of a message from the publishers to the connection: readings straight or by way of the spool's thread, other
//! messages by way of a queue that keeps only the latest of each topic while the broker is away.

use crate::publish::message::Message;
use crate::publish::mqtt::backlog::{SharedJournal, log_journal};
use crate::publish::mqtt::spool_thread::SpoolHandle;
use std::collections::{HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, mpsc};

/// Topics of messages other than readings that wait, at most; meters of the whole street are far fewer.
const MAX_OTHERS: usize = 20_000;
/// Messages that wait in their sequence before the first connection; beyond it only the latest of each topic is kept.
const MAX_SEQUENCE: usize = 256;

/// Source of readings.
pub(crate) enum Inbox {
    /// Straight from the publishers, numbered; they wait there while the broker is away.
    Memory(mpsc::Receiver<(u64, Message)>),
    /// By way of the spool's thread.
    Spool(SpoolHandle),
    /// No more readings: the publishers are gone, or the spool's thread is.
    Closed,
}

/// Event of an inbox.
pub(crate) enum Arrival {
    Message(u64, Message),
    /// The spool's thread may have readings to take, or has none any more.
    InSpool,
    /// The publishers are gone and the inbox is empty.
    End,
}

/// Sending half of all inboxes.
pub(crate) struct InboxSender {
    pub readings: ReadingSender,
    pub others: Arc<Others>,
    /// Number of the next message: the order of all messages, whichever way they take.
    pub next: AtomicU64,
}

/// Sending half of an inbox of readings.
pub(crate) enum ReadingSender {
    Memory(mpsc::Sender<(u64, Message)>),
    Spool(SpoolSender),
}

/// Sender that writes each reading to the journal before it is queued: from then on it survives the process.
pub(crate) struct SpoolSender {
    journal: SharedJournal,
    path: PathBuf,
    queue: crossbeam_channel::Sender<(u64, Message)>,
    has_logged: AtomicBool,
}

/// Queue of announcements and states.
#[derive(Default)]
pub(crate) struct Others {
    queue: Mutex<OthersQueue>,
    arrived: Notify,
}

#[derive(Default)]
struct OthersQueue {
    messages: VecDeque<(u64, Message)>,
    is_closed: bool,
    /// The connection takes messages as they come: their sequence on a topic matters to subscribers.
    is_connected: bool,
}

impl InboxSender {
    /// Sends; waits while the inbox is full. Returns false if the connection has ended.
    pub fn send(&self, message: Message) -> bool {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        match &self.readings {
            _ if !message.is_reading() => self.others.push(number, message),
            ReadingSender::Memory(inbox) => inbox.blocking_send((number, message)).is_ok(),
            ReadingSender::Spool(inbox) => inbox.send(message, true),
        }
    }

    /// Sends without waiting. Returns false if the inbox is full or the connection has ended.
    pub fn try_send(&self, message: Message) -> bool {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        match &self.readings {
            _ if !message.is_reading() => self.others.push(number, message),
            ReadingSender::Memory(inbox) => inbox.try_send((number, message)).is_ok(),
            ReadingSender::Spool(inbox) => inbox.send(message, false),
        }
    }
}

impl SpoolSender {
    /// Sends readings to the thread of the spool by way of `queue`, and to the journal at `path`.
    pub fn new(
        journal: SharedJournal,
        path: PathBuf,
        queue: crossbeam_channel::Sender<(u64, Message)>,
    ) -> Self {
        SpoolSender {
            journal,
            path,
            queue,
            has_logged: AtomicBool::new(false),
        }
    }

    fn send(&self, message: Message, waits: bool) -> bool {
        // Queued under the lock, so that the order of the queue is that of the keys.
        let mut journal = self.journal.lock();
        let (key, result) = journal.append(&message.topic, &message.payload, message.is_retained);
        if let Err(error) = result {
            if !self.has_logged.swap(true, Ordering::Relaxed) {
                log_journal(&self.path, &error);
            }
        }
        match self.queue.try_send((key, message)) {
            Ok(()) => true,
            Err(crossbeam_channel::TrySendError::Full(item)) if waits => {
                drop(journal);
                self.queue.send(item).is_ok()
            }
            Err(_) => false,
        }
    }
}

impl Others {
    /// Adds message number `number`. While no connection takes them and many wait, earlier ones of its topic are dropped.
    /// Returns false if the connection has ended, or if too many topics wait.
    pub fn push(&self, number: u64, message: Message) -> bool {
        let mut queue = self.lock();
        let is_crowded = queue.messages.len() >= MAX_OTHERS;
        if (!queue.is_connected && queue.messages.len() >= MAX_SEQUENCE) || is_crowded {
            queue
                .messages
                .retain(|(_, waiting)| waiting.topic != message.topic);
        }
        if queue.is_closed || queue.messages.len() >= MAX_OTHERS {
            return false;
        }
        queue.messages.push_back((number, message));
        drop(queue);
        self.arrived.notify_one();
        true
    }

    /// Waits until messages have been added since the last call.
    pub async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Takes all messages.
    pub fn take(&self) -> VecDeque<(u64, Message)> {
        std::mem::take(&mut self.lock().messages)
    }

    /// Drops all messages but the latest of each topic: after an outage nobody needs the others.
    pub fn keep_latest(&self) {
        let mut queue = self.lock();
        let mut seen = HashSet::new();
        let mut latest = VecDeque::with_capacity(queue.messages.len());
        while let Some((number, message)) = queue.messages.pop_back() {
            if seen.insert(message.topic.clone()) {
                latest.push_front((number, message));
            }
        }
        queue.messages = latest;
    }

    /// Number of messages.
    pub fn len(&self) -> usize {
        self.lock().messages.len()
    }

    /// Records whether a connection takes messages as they come.
    pub fn set_connected(&self, is_connected: bool) {
        self.lock().is_connected = is_connected;
    }

    /// Accepts no further message.
    pub fn close(&self) {
        self.lock().is_closed = true;
    }

    fn lock(&self) -> MutexGuard<'_, OthersQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inbox {
    /// Waits for the next event; cancel safe. Never completes for a closed inbox.
    pub async fn next(&mut self) -> Arrival {
        match self {
            Inbox::Memory(inbox) => inbox.recv().await.map_or(Arrival::End, |(number, message)| {
                Arrival::Message(number, message)
            }),
            Inbox::Spool(spool) => {
                spool.arrived().await;
                Arrival::InSpool
            }
            Inbox::Closed => std::future::pending().await,
        }
    }

    /// Returns true if there will be no further reading.
    pub fn is_finished(&self) -> bool {
        match self {
            Inbox::Memory(_) => false,
            // In this order: nothing is added once it is closed.
            Inbox::Spool(spool) => spool.is_closed() && !spool.has_more(),
            Inbox::Closed => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::message::DeliveryClass;

    fn state(topic: &str, payload: &str) -> Message {
        Message::retained(topic, payload, DeliveryClass::State)
    }

    fn payloads(others: &Others) -> Vec<String> {
        let taken = others.take().into_iter();
        taken.map(|(_, message)| message.payload).collect()
    }

    #[test]
    fn given_an_outage_then_only_the_latest_of_each_topic_waits_and_otherwise_the_sequence_is_kept() {
        let others = Others::default();
        let sequence = [("a", "1"), ("b", "2"), ("a", "3")];
        for (topic, payload) in sequence {
            assert!(others.push(0, state(topic, payload)));
        }
        others.keep_latest();
        assert_eq!(payloads(&others), ["2", "3"]);
        for (topic, payload) in sequence {
            others.push(0, state(topic, payload));
        }
        assert_eq!(payloads(&others), ["1", "2", "3"]);
        for i in 0..5000 {
            others.push(0, state(&format!("t{}", i % 3), &i.to_string()));
        }
        assert!(others.len() <= MAX_SEQUENCE);
    }

    #[test]
    fn given_the_end_then_nothing_is_accepted() {
        let others = Others::default();
        others.close();
        assert!(!others.push(0, state("a", "1")));
        assert_eq!(others.len(), 0);
    }
}
