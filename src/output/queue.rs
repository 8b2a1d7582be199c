//! Bounded queue to a thread: adding never waits; when the queue is full the oldest item is dropped and counted.

use crate::runtime::{Cancel, Context, Heartbeat, Limit, Running};
use crate::status::sink::{LossReason, SinkMetrics};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Limit of waiting readings: a minute of a busy street.
const CAPACITY: usize = 1024;
/// Time for a thread to notice that it was given up.
const ABANDON_TIMEOUT: Duration = Duration::from_millis(100);

/// Sending end of the queue, and the thread behind it.
pub struct Queue<T> {
    /// Empty once the queue is closed.
    sender: Mutex<Option<Sender<T>>>,
    /// The worker's channel, to drop the oldest item from.
    receiver: Receiver<T>,
    metrics: Arc<SinkMetrics>,
    abandon: Cancel,
    thread: Running,
}

/// Receiving end of the queue, for its thread.
pub struct Inbox<T> {
    receiver: Receiver<T>,
    /// Metrics of the output.
    pub metrics: Arc<SinkMetrics>,
    /// Cancelled when the time for what is left has run out.
    abandon: Cancel,
    heartbeat: Heartbeat,
}

impl<T: Send + 'static> Queue<T> {
    /// Starts `run` on a supervised thread. It is not cancelled with the process, but ends when the queue is closed: the
    /// last readings come after the cancellation.
    ///
    /// # Errors
    /// Returns the system's error if the thread cannot be created.
    pub fn start(
        context: &Context,
        metrics: Arc<SinkMetrics>,
        run: impl FnOnce(Inbox<T>) + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, receiver) = bounded(CAPACITY);
        let abandon = Cancel::default();
        let (items, worker_metrics, is_abandoned) = (receiver.clone(), metrics.clone(), abandon.clone());
        let thread = context.thread(context.name(), move |heartbeat| {
            run(Inbox {
                receiver: items,
                metrics: worker_metrics,
                abandon: is_abandoned,
                heartbeat,
            });
        })?;
        Ok(Queue {
            sender: Mutex::new(Some(sender)),
            receiver,
            metrics,
            abandon,
            thread,
        })
    }

    /// Adds an item; drops the oldest one if there is no room. After the end of the thread items are counted as lost.
    pub fn put(&self, mut item: T) {
        let sender = self.sender();
        let Some(sender) = &*sender else {
            return;
        };
        let mut lost = 0;
        while let Err(TrySendError::Full(back)) = sender.try_send(item) {
            item = back;
            lost += u64::from(self.receiver.try_recv().is_ok());
        }
        self.metrics.lost(LossReason::QueueFull, lost);
        self.metrics.waiting(self.receiver.len());
    }

    /// Closes the queue: its thread ends after the items that are in it.
    pub fn close(&self) {
        *self.sender() = None;
    }

    /// Closes the queue and waits until all items are taken; the rest is lost after `limit`. Returns false if the thread does
    /// not end.
    pub fn join(self, limit: &Limit) -> bool {
        self.close();
        let mut has_ended = self.thread.join_until(limit);
        if !has_ended {
            self.abandon.cancel();
            has_ended = self.thread.join(ABANDON_TIMEOUT);
        }
        self.metrics
            .lost(LossReason::Stopped, self.receiver.try_iter().count() as u64);
        self.metrics.waiting(0);
        has_ended
    }

    fn sender(&self) -> MutexGuard<'_, Option<Sender<T>>> {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Inbox<T> {
    /// Waits for the next item; returns nothing once the queue is closed and empty, or abandoned.
    pub fn next(&self) -> Option<T> {
        if self.abandon.is_cancelled() {
            return None;
        }
        let next = self.heartbeat.idle_during(|| self.receiver.recv().ok());
        self.metrics.waiting(self.receiver.len());
        next
    }

    /// Sleeps between two attempts to deliver an item. Returns false if there is no time for another one.
    pub fn pause(&self, pause: Duration) -> bool {
        self.heartbeat.idle_during(|| self.abandon.sleep(pause))
    }

    /// Makes an attempt to deliver an item: however long a disk or a server takes, the thread is not stuck.
    pub fn attempt<R>(&self, attempt: impl FnOnce() -> R) -> R {
        self.heartbeat.idle_during(attempt)
    }

    /// Counts all further items as lost until the queue is closed.
    pub fn discard_all(&self, reason: LossReason) {
        while self.next().is_some() {
            self.metrics.lost(reason, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{Clock, Runtime};

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn given_an_output_that_hangs_then_adding_never_waits_and_the_oldest_are_dropped() {
        let runtime = Runtime::start(Clock::system()).unwrap();
        let metrics = Arc::new(SinkMetrics::new("stuck".into()));
        let (free, is_free) = bounded::<()>(0);
        let (taken, items) = bounded(2 * CAPACITY);
        let queue = Queue::start(&runtime.context, metrics.clone(), move |inbox| {
            let _ = is_free.recv();
            while let Some(item) = inbox.next() {
                inbox.metrics.delivered();
                let _ = taken.send(item);
            }
        })
        .unwrap();
        for i in 0..CAPACITY + 10 {
            queue.put(i);
        }
        let status = metrics.status();
        assert_eq!((status.lost, status.waiting), (10, CAPACITY as u64));
        drop(free);
        assert!(queue.join(&Limit::within(LONG)));
        let items: Vec<usize> = items.try_iter().collect();
        assert_eq!(items, (10..CAPACITY + 10).collect::<Vec<_>>());
        assert_eq!(metrics.status().delivered, CAPACITY as u64);
    }

    /// A queue of five items whose output fails at the first one until it is abandoned.
    fn failing_queue(runtime: &Runtime) -> (Queue<i32>, Arc<SinkMetrics>) {
        let metrics = Arc::new(SinkMetrics::new("failing".into()));
        let queue = Queue::start(&runtime.context, metrics.clone(), move |inbox| {
            while inbox.next().is_some() {
                while inbox.pause(Duration::from_secs(3600)) {}
                inbox.metrics.lost(LossReason::Stopped, 1);
            }
        })
        .unwrap();
        (0..5).for_each(|i| queue.put(i));
        (queue, metrics)
    }

    #[test]
    fn given_an_output_that_keeps_failing_when_time_is_up_then_it_ends_and_the_rest_is_lost() {
        let runtime = Runtime::start(Clock::system()).unwrap();
        let (queue, metrics) = failing_queue(&runtime);
        queue.join(&Limit::within(Duration::ZERO));
        assert_eq!(metrics.status().lost, 5);
    }

    #[test]
    fn given_an_interruption_while_an_output_keeps_failing_then_it_ends_long_before_its_time() {
        let runtime = Runtime::start(Clock::system()).unwrap();
        let (queue, metrics) = failing_queue(&runtime);
        let limit = Limit::within_or_interrupted(
            Duration::from_secs(3600),
            runtime.context.cancel.clone(),
            Duration::ZERO,
            &runtime.context.io,
        );
        let cancel = runtime.context.cancel.clone();
        let interruption = std::thread::spawn(move || cancel.cancel());
        assert!(queue.join(&limit));
        interruption.join().unwrap();
        assert_eq!(metrics.status().lost, 5);
    }
}
