//! A bounded queue to a thread: who puts in never waits, and where it is full the oldest is let go and counted.

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Readings that may wait.
const ROOM: usize = 1024;

/// What has become of an output's readings; read by others at any time.
#[derive(Debug)]
pub struct Counts {
    name: String,
    delivered: AtomicU64,
    lost: AtomicU64,
    waiting: AtomicU64,
    clients: AtomicU64,
    trouble: Mutex<Option<String>>,
}

/// The same, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// What the output is called.
    pub name: String,
    /// Readings that it has taken.
    pub delivered: u64,
    /// Readings that it will never get.
    pub lost: u64,
    /// Readings that wait for it.
    pub waiting: u64,
    /// Others that are connected.
    pub clients: u64,
    /// What is wrong with it at the moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

impl Counts {
    /// Of an output.
    pub fn new(name: String) -> Self {
        Counts {
            name,
            delivered: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            clients: AtomicU64::new(0),
            trouble: Mutex::new(None),
        }
    }

    /// As they are.
    pub fn standing(&self) -> Standing {
        Standing {
            name: self.name.clone(),
            delivered: self.delivered.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
            waiting: self.waiting.load(Ordering::Relaxed),
            clients: self.clients.load(Ordering::Relaxed),
            trouble: self
                .trouble
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        }
    }

    /// A reading has arrived.
    pub fn delivered(&self) {
        self.delivered.fetch_add(1, Ordering::Relaxed);
    }

    /// Readings never will; told the first time.
    pub fn lost(&self, count: u64) {
        if count > 0 && self.lost.fetch_add(count, Ordering::Relaxed) == 0 {
            tracing::warn!(
                output = self.name,
                "An output cannot keep up, or is away: readings for it are being lost."
            );
        }
    }

    /// How many wait.
    pub fn waiting(&self, count: usize) {
        self.waiting.store(count as u64, Ordering::Relaxed);
    }

    /// One more connected, or one less.
    pub fn client(&self, has_come: bool) {
        match has_come {
            true => self.clients.fetch_add(1, Ordering::Relaxed),
            false => self.clients.fetch_sub(1, Ordering::Relaxed),
        };
    }

    /// The same, where somebody else tells of it.
    pub fn trouble_untold(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// What is wrong, or that nothing is any more; told when it changes from well to ill and back.
    pub fn trouble(&self, trouble: Option<String>) {
        let mut now = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*now, &trouble) {
            (None, Some(reason)) => {
                tracing::warn!(
                    output = self.name,
                    reason,
                    "An output is in trouble. Trying again until it is not."
                );
            }
            (Some(_), None) => tracing::info!(output = self.name, "An output works again."),
            _ => {}
        }
        *now = trouble;
    }
}

/// The end of those who put in.
pub struct Queue<T> {
    to: Option<Sender<T>>,
    from: Receiver<T>,
    counts: Arc<Counts>,
    thread: JoinHandle<()>,
}

/// The end of the thread that takes out.
pub struct Inbox<T> {
    from: Receiver<T>,
    /// What has become of them.
    pub counts: Arc<Counts>,
}

impl<T: Send + 'static> Queue<T> {
    /// Starts a thread that takes out.
    ///
    /// # Errors
    /// Where none can be had.
    pub fn start(counts: Arc<Counts>, run: impl FnOnce(Inbox<T>) + Send + 'static) -> std::io::Result<Self> {
        let (to, from) = bounded(ROOM);
        let inbox = Inbox {
            from: from.clone(),
            counts: counts.clone(),
        };
        let thread = std::thread::Builder::new()
            .name(format!("out:{}", counts.name))
            .spawn(move || run(inbox))?;
        Ok(Queue {
            to: Some(to),
            from,
            counts,
            thread,
        })
    }

    /// Puts in.
    pub fn put(&self, mut item: T) {
        let Some(to) = &self.to else {
            return;
        };
        let mut lost = 0;
        while let Err(TrySendError::Full(back)) = to.try_send(item) {
            item = back;
            lost += u64::from(self.from.try_recv().is_ok());
        }
        self.counts.lost(lost);
        self.counts.waiting(self.from.len());
    }

    /// Waits until all is taken, or time is up.
    pub fn finish(mut self, patience: Duration) {
        self.to = None;
        wait_for(&self.thread, patience);
        self.counts.lost(self.from.len() as u64);
    }
}

/// Waits until a thread has ended, or time is up.
pub fn wait_for(thread: &JoinHandle<()>, patience: Duration) {
    let deadline = Instant::now() + patience;
    while !thread.is_finished() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl<T> Inbox<T> {
    /// The next one; nothing for a while: `Err(false)`; nothing any more: `Err(true)`.
    pub fn next(&self, wait: Duration) -> Result<T, bool> {
        let next = self.from.recv_timeout(wait);
        self.counts.waiting(self.from.len());
        next.map_err(|error| error == RecvTimeoutError::Disconnected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn given_an_output_that_hangs_then_putting_in_never_waits_and_the_oldest_are_let_go() {
        let counts = Arc::new(Counts::new("stuck".into()));
        let free = Arc::<AtomicBool>::default();
        let (taken, told) = bounded(2 * ROOM);
        let is_free = free.clone();
        let queue = Queue::start(counts.clone(), move |inbox| {
            while !is_free.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(1));
            }
            while let Ok(item) = inbox.next(Duration::from_secs(1)) {
                inbox.counts.delivered();
                let _ = taken.send(item);
            }
        })
        .unwrap();
        for i in 0..ROOM + 10 {
            queue.put(i);
        }
        assert_eq!(
            (counts.standing().lost, counts.standing().waiting),
            (10, ROOM as u64)
        );
        free.store(true, Ordering::Relaxed);
        queue.finish(Duration::from_secs(20));
        let taken: Vec<usize> = told.try_iter().collect();
        assert_eq!(taken, (10..ROOM + 10).collect::<Vec<_>>());
        assert_eq!(counts.standing().delivered, ROOM as u64);
    }
}
