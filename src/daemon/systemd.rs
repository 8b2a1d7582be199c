//! Watch over all threads, and notifications to systemd: readiness, watchdog, end. Without systemd they go nowhere.

use crate::runtime::{Cancel, Context, Heartbeat, Watchdog};
use anyhow::{Context as _, Result};
use sd_notify::NotifyState;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Interval of watchdog notifications at most, whatever systemd asks for.
const INTERVAL: Duration = Duration::from_secs(10);
/// Interval at which the threads are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Connection to systemd, and the thread `watchdog` that looks after all others; it ends when this is dropped.
pub struct Systemd {
    ended: Cancel,
}

/// State of the thread.
struct Feeder {
    watchdog: Watchdog,
    /// Half the time after which systemd would restart the process; none if it does not watch it.
    period: Option<Duration>,
    notified: Instant,
    /// Threads that were stuck at the last look.
    stuck: BTreeSet<String>,
}

impl Systemd {
    /// Reports that all components have been started, and starts to watch them.
    ///
    /// # Errors
    /// Returns the system's error if the thread cannot be created.
    pub fn ready(context: &Context) -> Result<Self> {
        let mut feeder = Feeder {
            watchdog: context.watchdog().clone(),
            period: sd_notify::watchdog_enabled().map(|longest| longest / 2),
            notified: Instant::now(),
            stuck: BTreeSet::new(),
        };
        let (ended, look) = (Cancel::default(), feeder.period.unwrap_or(LOOK).min(LOOK));
        let is_ended = ended.clone();
        let run = move |heartbeat: Heartbeat| {
            // It cannot watch itself; systemd does.
            heartbeat.idle();
            while is_ended.sleep(look) {
                feeder.look();
            }
        };
        context.thread("watchdog", run).context("cannot start a thread")?;
        notify(NotifyState::Ready);
        Ok(Systemd { ended })
    }

    /// Reports that the process is about to end. Its threads are watched until then.
    pub fn stopping(&self) {
        notify(NotifyState::Stopping);
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

impl Feeder {
    /// Logs each thread that is stuck, once; feeds systemd's watchdog if that is due and no thread is stuck.
    fn look(&mut self) {
        self.watchdog.tick();
        let stuck = self.watchdog.stuck();
        for thread in stuck.difference(&self.stuck) {
            tracing::error!(
                thread,
                "Thread is stuck; systemd restarts metertap if it watches it"
            );
        }
        for thread in self.stuck.difference(&stuck) {
            tracing::warn!(thread, "Thread is no longer stuck");
        }
        self.stuck = stuck;
        let is_due = |period: Duration| self.notified.elapsed() >= period.min(INTERVAL);
        if self.period.is_some_and(is_due) {
            self.notified = Instant::now();
            if self.stuck.is_empty() {
                notify(NotifyState::Watchdog);
            }
        }
    }
}

fn notify(state: NotifyState) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::debug!(%error, "systemd not notified");
    }
}
