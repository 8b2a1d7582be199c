//! Time limit for the end of components, which becomes shorter when the process is interrupted.

use crate::runtime::cancel::Cancel;
use crossbeam_channel::{Receiver, bounded, never, select};
use std::time::{Duration, Instant};

/// Time until which the end of threads and tasks is waited for.
#[derive(Debug)]
pub struct Limit {
    deadline: Instant,
    /// Disconnected when an interruption leaves no more time.
    hurried: Receiver<()>,
}

impl Limit {
    /// Ends after `duration`.
    pub fn within(duration: Duration) -> Self {
        Limit {
            deadline: Instant::now() + duration,
            hurried: never(),
        }
    }

    /// Ends after `duration`, or `hurried` after the cancellation of `interrupted` if that is sooner.
    pub fn within_or_interrupted(
        duration: Duration,
        interrupted: Cancel,
        hurried: Duration,
        io: &tokio::runtime::Handle,
    ) -> Self {
        let (ends, receiver) = bounded(0);
        io.spawn(async move {
            interrupted.cancelled().await;
            tokio::time::sleep(hurried).await;
            drop(ends);
        });
        Limit {
            hurried: receiver,
            ..Limit::within(duration)
        }
    }

    /// Waits until `ended` is disconnected; returns false if the time is over before.
    pub(super) fn wait(&self, ended: &Receiver<()>) -> bool {
        let left = self.deadline.saturating_duration_since(Instant::now());
        select! {
            recv(ended) -> _ => true,
            recv(self.hurried) -> _ => ended.recv_timeout(Duration::ZERO).is_err_and(|error| error.is_disconnected()),
            default(left) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{Clock, Runtime};

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn given_an_interruption_while_waiting_then_the_limit_is_near() {
        let runtime = Runtime::start(Clock::system()).unwrap();
        let limit = Limit::within_or_interrupted(
            LONG,
            runtime.context.cancel.clone(),
            Duration::from_millis(1),
            &runtime.context.io,
        );
        let (ends, ended) = bounded::<()>(0);
        let cancel = runtime.context.cancel.clone();
        let interruption = std::thread::spawn(move || cancel.cancel());
        // Without the interruption this would wait for an hour.
        assert!(!limit.wait(&ended));
        interruption.join().unwrap();
        drop(ends);
        assert!(limit.wait(&ended), "what has ended has ended");
    }
}
