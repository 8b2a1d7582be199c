//! A bounded queue to a thread: who puts in never waits, and where it is full the oldest is let go and counted.

use crate::status::sink::SinkMetrics;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Readings that may wait.
const ROOM: usize = 1024;

/// The end of those who put in.
pub struct Queue<T> {
    to: Option<Sender<T>>,
    from: Receiver<T>,
    counts: Arc<SinkMetrics>,
    thread: JoinHandle<()>,
}

/// The end of the thread that takes out.
pub struct Inbox<T> {
    from: Receiver<T>,
    /// What has become of them.
    pub counts: Arc<SinkMetrics>,
}

impl<T: Send + 'static> Queue<T> {
    /// Starts a thread that takes out.
    ///
    /// # Errors
    /// Where none can be had.
    pub fn start(
        counts: Arc<SinkMetrics>,
        run: impl FnOnce(Inbox<T>) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (to, from) = bounded(ROOM);
        let inbox = Inbox {
            from: from.clone(),
            counts: counts.clone(),
        };
        let thread = std::thread::Builder::new()
            .name(format!("out:{}", counts.name()))
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
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn given_an_output_that_hangs_then_putting_in_never_waits_and_the_oldest_are_let_go() {
        let counts = Arc::new(SinkMetrics::new("stuck".into()));
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
