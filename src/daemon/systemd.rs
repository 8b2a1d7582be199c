//! Notifications to systemd: readiness, watchdog, end. Without systemd they go nowhere.

use crate::runtime::Watchdog;
use crate::runtime::heartbeat::STUCK;
use sd_notify::NotifyState;
use std::time::{Duration, Instant};

/// Interval of watchdog notifications at most, whatever systemd asks for.
const INTERVAL: Duration = Duration::from_secs(10);

/// Connection to systemd.
pub struct Systemd {
    watchdog: Watchdog,
    /// Half the time after which systemd would restart the process; none if it does not watch it.
    period: Option<Duration>,
    notified: Instant,
    /// Thread that was stuck at the last notification, as logged.
    stuck: Option<String>,
}

impl Systemd {
    /// Reports that all components have been started.
    pub fn ready(watchdog: Watchdog) -> Self {
        notify(NotifyState::Ready);
        Systemd {
            watchdog,
            period: sd_notify::watchdog_enabled().map(|longest| longest / 2),
            notified: Instant::now(),
            stuck: None,
        }
    }

    /// Feeds systemd's watchdog if that is due and no thread is stuck. To be called at least every second.
    pub fn tick(&mut self) {
        let Some(period) = self.period else {
            return;
        };
        if self.notified.elapsed() < period.min(INTERVAL) {
            return;
        }
        self.notified = Instant::now();
        let stuck = self.watchdog.stuck(STUCK);
        match &stuck {
            None => notify(NotifyState::Watchdog),
            Some(thread) if self.stuck != stuck => {
                tracing::error!(thread, "Thread is stuck; systemd will restart metertap");
            }
            Some(_) => {}
        }
        self.stuck = stuck;
    }

    /// Reports that the process is about to end.
    pub fn stopping(self) {
        notify(NotifyState::Stopping);
    }
}

fn notify(state: NotifyState) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::debug!(%error, "systemd not notified");
    }
}
