//! Thread that owns the spool. The connection never touches the disk: it asks this thread, one request at a time, and
//! services the network meanwhile.

use crate::publish::message::Message;
use crate::publish::mqtt::broker::SpoolConfig;
use crate::publish::mqtt::spool_queue::{SpoolQueue, Stored};
use crate::publish::mqtt::waiting::{Slot, Waiting};
use crate::runtime::{Context, Running};
use crate::store::spool::Spool;
use anyhow::{Context as _, Result};
use crossbeam_channel::{Receiver, Sender, bounded, never, select_biased};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::{Notify, oneshot};

/// Messages written to the disk in one transaction, at most.
const BATCH: usize = 64;

/// Handle of the connection; when it is dropped, the thread saves what it has and ends.
pub(crate) struct SpoolHandle {
    requests: Sender<Request>,
    state: Arc<State>,
    /// Rows with keys below this one were written by an earlier process.
    inherited_below: u64,
}

/// State of the queue after the last step of the thread.
#[derive(Default)]
struct State {
    /// Notified after messages were added, and when the publishers are gone. The fields below are stored before.
    arrived: Notify,
    len: AtomicUsize,
    has_more: AtomicBool,
    is_closed: AtomicBool,
}

enum Request {
    Take(usize, oneshot::Sender<Vec<Waiting>>),
    Store(Vec<Slot>, Option<u64>, oneshot::Sender<Stored>),
    Remove(u64, oneshot::Sender<()>),
    KeepLatest(oneshot::Sender<()>),
    CloseInbox(oneshot::Sender<()>),
    Close(oneshot::Sender<(u64, u64)>),
}

/// Opens the spool and starts its thread, which is supervised but has no heartbeat: a disk that hangs is no reason to
/// restart the process. Messages sent into `inbox` are queued in their order.
///
/// # Errors
/// Returns an error that names the file if it cannot be used, or the system's error if there is no thread.
pub(crate) fn start(
    context: &Context,
    settings: &SpoolConfig,
    inbox: Receiver<Message>,
) -> Result<(SpoolHandle, Running)> {
    let queue = SpoolQueue::new(Spool::open(&settings.path, settings.limit_bytes)?);
    let inherited_below = queue.next_key();
    let state = Arc::<State>::default();
    state.update(&queue);
    // Every request is awaited, so there is one at a time.
    let (requests, receiver) = bounded(1);
    let worker = Worker {
        queue,
        inbox,
        requests: receiver,
        state: state.clone(),
    };
    let running = context
        .thread("spool", || worker.run())
        .context("cannot start the spool's thread")?;
    let handle = SpoolHandle {
        requests,
        state,
        inherited_below,
    };
    Ok((handle, running))
}

impl SpoolHandle {
    /// Waits until messages have been added since the last call, or the publishers are gone.
    pub async fn arrived(&self) {
        self.state.arrived.notified().await;
    }

    /// Returns true if [`SpoolHandle::take`] may return something, or must be called to find out that nothing is left.
    pub fn has_more(&self) -> bool {
        self.state.has_more.load(Ordering::Acquire)
    }

    /// Number of messages that were not taken; an upper limit.
    pub fn len(&self) -> usize {
        self.state.len.load(Ordering::Relaxed)
    }

    /// Returns true if no further message will be added.
    pub fn is_closed(&self) -> bool {
        self.state.is_closed.load(Ordering::Acquire)
    }

    /// Returns true if an earlier process wrote the row of `waiting`.
    pub fn is_inherited(&self, waiting: &Waiting) -> bool {
        waiting.key.is_some_and(|key| key < self.inherited_below)
    }

    /// Takes the oldest messages, `count` at most. `None`, here and below: the thread has panicked.
    pub async fn take(&self, count: usize) -> Option<Vec<Waiting>> {
        self.ask(|reply| Request::Take(count, reply)).await
    }

    /// Removes the rows up to the key `removable`, and then stores `slots` as [`SpoolQueue::store`] says.
    pub async fn store(&self, slots: Vec<Slot>, removable: Option<u64>) -> Option<Stored> {
        self.ask(|reply| Request::Store(slots, removable, reply)).await
    }

    /// Removes the rows up to the key `last`.
    pub async fn remove_through(&self, last: u64) -> Option<()> {
        self.ask(|reply| Request::Remove(last, reply)).await
    }

    /// Keeps only the newest row of each topic among those that were not taken.
    pub async fn keep_latest(&self) -> Option<()> {
        self.ask(Request::KeepLatest).await
    }

    /// Accepts no further message from the publishers; those that were sent are added.
    pub async fn close_inbox(&self) -> Option<()> {
        self.ask(Request::CloseInbox).await
    }

    /// Writes everything to the disk; returns the number of rows, and of readings lost.
    pub async fn close(&self) -> Option<(u64, u64)> {
        self.ask(Request::Close).await
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.requests.try_send(request(reply)).ok()?;
        answer.await.ok()
    }
}

impl State {
    fn update(&self, queue: &SpoolQueue) {
        self.len.store(queue.len(), Ordering::Relaxed);
        self.has_more.store(queue.has_more(), Ordering::Release);
    }
}

struct Worker {
    queue: SpoolQueue,
    inbox: Receiver<Message>,
    requests: Receiver<Request>,
    state: Arc<State>,
}

impl Worker {
    fn run(mut self) {
        loop {
            // Requests first: the broker waits for them, while the inbox has room.
            select_biased! {
                recv(self.requests) -> request => match request {
                    Ok(request) => self.answer(request),
                    Err(_) => break,
                },
                recv(self.inbox) -> message => match message {
                    Ok(message) => self.add(message),
                    Err(_) => self.close_inbox(),
                },
            }
        }
        // The connection has ended without a goodbye to this thread: the next process finds what it did not take.
        self.close_inbox();
        self.queue.close();
    }

    fn add(&mut self, first: Message) {
        let batch = std::iter::once(first).chain(self.inbox.try_iter().take(BATCH - 1));
        self.queue.offer(batch.collect());
        self.state.update(&self.queue);
        self.state.arrived.notify_one();
    }

    fn close_inbox(&mut self) {
        while let Ok(message) = self.inbox.try_recv() {
            self.add(message);
        }
        // Drops the receiver, so that publishers get an error from now on.
        self.inbox = never();
        self.state.is_closed.store(true, Ordering::Release);
        self.state.arrived.notify_one();
    }

    fn answer(&mut self, request: Request) {
        // A reply that nobody awaits is dropped: the connection is gone, and so is its queue in flight.
        match request {
            Request::Take(count, reply) => {
                let taken = self.queue.take(count);
                self.state.update(&self.queue);
                let _ = reply.send(taken);
            }
            Request::Store(slots, removable, reply) => {
                // In this order: see `Delivery::to_store`.
                if let Some(last) = removable {
                    self.queue.remove_through(last);
                }
                let stored = self.queue.store(slots);
                self.state.update(&self.queue);
                let _ = reply.send(stored);
            }
            Request::Remove(last, reply) => {
                self.queue.remove_through(last);
                let _ = reply.send(());
            }
            Request::KeepLatest(reply) => {
                self.queue.keep_latest();
                self.state.update(&self.queue);
                let _ = reply.send(());
            }
            Request::CloseInbox(reply) => {
                self.close_inbox();
                let _ = reply.send(());
            }
            Request::Close(reply) => {
                self.close_inbox();
                let closed = self.queue.close();
                self.state.update(&self.queue);
                let _ = reply.send(closed);
            }
        }
    }
}
