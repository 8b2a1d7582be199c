//! Thread that owns the backlog. The connection never touches the disk: it asks this thread, one request at a time, and
//! services the network meanwhile.

use crate::publish::message::Message;
use crate::publish::mqtt::backlog::{Backlog, SharedJournal};
use crate::publish::mqtt::broker::SpoolConfig;
use crate::publish::mqtt::waiting::Waiting;
use crate::runtime::{Clock, Context, Running};
use crate::status::sink::SinkMetrics;
use anyhow::{Context as _, Result};
use crossbeam_channel::{Receiver, Sender, after, bounded, never, select_biased};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

/// Messages that are taken from the inbox in one step, at most.
const BATCH: usize = 256;
/// Longest time between two looks at the clock, which may be simulated.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Handle of the connection; when it is dropped, the thread saves what it has and ends.
pub(crate) struct SpoolHandle {
    requests: Sender<Request>,
    state: Arc<State>,
}

/// State of the backlog after the last step of the thread.
#[derive(Default)]
struct State {
    /// Notified after readings were added, and when the publishers are gone. The fields below are stored before.
    arrived: Notify,
    len: AtomicUsize,
    has_more: AtomicBool,
    is_closed: AtomicBool,
}

enum Request {
    Take(usize, oneshot::Sender<Vec<Waiting>>),
    Settled(Vec<u64>, oneshot::Sender<()>),
    KeepLatest(oneshot::Sender<()>),
    CloseInbox(oneshot::Sender<()>),
    Close(oneshot::Sender<u64>),
}

/// Opens the spool and starts its thread. Its heartbeat idles: all its work is for the disk, and a disk that hangs is no reason
/// to restart the process. Readings sent into `inbox` have the keys of the journal that is returned, and are in their order.
///
/// # Errors
/// Returns an error that names the file if it cannot be used, or the system's error if there is no thread.
pub(crate) fn start(
    context: &Context,
    settings: &SpoolConfig,
    metrics: Arc<SinkMetrics>,
    inbox: Receiver<(u64, Message)>,
) -> Result<(SpoolHandle, SharedJournal, Running)> {
    let backlog = Backlog::open(settings.clone(), metrics, context.clock.now())?;
    let journal = backlog.journal();
    let state = Arc::<State>::default();
    state.update(&backlog);
    // Every request is awaited, so there is one at a time.
    let (requests, receiver) = bounded(1);
    let worker = Worker {
        backlog,
        inbox,
        requests: receiver,
        state: state.clone(),
        clock: context.clock.clone(),
    };
    let running = context
        .thread("spool", |heartbeat| {
            heartbeat.idle();
            worker.run();
        })
        .context("cannot start the spool's thread")?;
    Ok((SpoolHandle { requests, state }, journal, running))
}

impl SpoolHandle {
    /// Waits until readings have been added since the last call, or the publishers are gone.
    pub async fn arrived(&self) {
        self.state.arrived.notified().await;
    }

    /// Returns true if [`SpoolHandle::take`] may return something.
    pub fn has_more(&self) -> bool {
        self.state.has_more.load(Ordering::Acquire)
    }

    /// Number of readings that are not settled.
    pub fn len(&self) -> usize {
        self.state.len.load(Ordering::Relaxed)
    }

    /// Returns true if no further reading will be added.
    pub fn is_closed(&self) -> bool {
        self.state.is_closed.load(Ordering::Acquire)
    }

    /// Takes the oldest readings, `count` at most. `None`, here and below: the thread has panicked.
    pub async fn take(&self, count: usize) -> Option<Vec<Waiting>> {
        self.ask(|reply| Request::Take(count, reply)).await
    }

    /// Removes readings that are delivered or refused for ever.
    pub async fn settled(&self, keys: Vec<u64>) -> Option<()> {
        self.ask(|reply| Request::Settled(keys, reply)).await
    }

    /// Keeps only the newest reading of each topic among those that were not taken.
    pub async fn keep_latest(&self) -> Option<()> {
        self.ask(Request::KeepLatest).await
    }

    /// Accepts no further reading from the publishers; those that were sent are added.
    pub async fn close_inbox(&self) -> Option<()> {
        self.ask(Request::CloseInbox).await
    }

    /// Writes everything to the disk; returns the number of readings that are left.
    pub async fn close(&self) -> Option<u64> {
        self.ask(Request::Close).await
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.requests.try_send(request(reply)).ok()?;
        answer.await.ok()
    }
}

impl State {
    fn update(&self, backlog: &Backlog) {
        self.len.store(backlog.len(), Ordering::Relaxed);
        self.has_more.store(backlog.has_more(), Ordering::Release);
    }
}

struct Worker {
    backlog: Backlog,
    inbox: Receiver<(u64, Message)>,
    requests: Receiver<Request>,
    state: Arc<State>,
    clock: Clock,
}

impl Worker {
    fn run(mut self) {
        loop {
            let wait = self.backlog.next_due().map(|due| {
                let wait = due.saturating_duration_since(self.clock.now());
                after(wait.clamp(Duration::from_millis(1), LONGEST_WAIT))
            });
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
                recv(wait.unwrap_or_else(never)) -> _ => {}
            }
            let had_more = self.backlog.has_more();
            self.backlog.tick(self.clock.now());
            self.state.update(&self.backlog);
            if !had_more && self.backlog.has_more() {
                // A spool that works again may have rows.
                self.state.arrived.notify_one();
            }
        }
        // The connection has ended without a goodbye to this thread: the next process finds what it did not take.
        self.close_inbox();
        self.backlog.close(self.clock.now());
    }

    fn add(&mut self, first: (u64, Message)) {
        let batch = std::iter::once(first).chain(self.inbox.try_iter().take(BATCH - 1));
        self.backlog.offer(batch.collect(), self.clock.now());
        self.state.update(&self.backlog);
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
        let now = self.clock.now();
        // A reply that nobody awaits is dropped: the connection is gone, and so is its queue in flight.
        match request {
            Request::Take(count, reply) => {
                let taken = self.backlog.take(count, now);
                self.state.update(&self.backlog);
                let _ = reply.send(taken);
            }
            Request::Settled(keys, reply) => {
                self.backlog.settled(&keys, now);
                self.state.update(&self.backlog);
                let _ = reply.send(());
            }
            Request::KeepLatest(reply) => {
                self.backlog.keep_latest(now);
                self.state.update(&self.backlog);
                let _ = reply.send(());
            }
            Request::CloseInbox(reply) => {
                self.close_inbox();
                let _ = reply.send(());
            }
            Request::Close(reply) => {
                self.close_inbox();
                let kept = self.backlog.close(now);
                self.state.update(&self.backlog);
                let _ = reply.send(kept);
            }
        }
    }
}
