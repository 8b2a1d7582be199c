//! What systemd is told: that we are there, that nothing is stuck, that we go. Where it did not start us, nobody is told.

use crate::runtime::Watchdog;
use sd_notify::NotifyState;
use std::time::{Duration, Instant};

/// A thread that is at work for so long without a sign of life is stuck; to open a dongle may take a third of it.
const LONGEST: Duration = Duration::from_secs(45);

/// Speaks to systemd.
pub struct Systemd {
    watchdog: Watchdog,
    /// How often it wants to hear that all is well.
    period: Option<Duration>,
    told: Instant,
    /// Who is stuck, as was said already.
    stuck: Option<String>,
}

impl Systemd {
    /// All is at work.
    pub fn ready(watchdog: Watchdog) -> Self {
        tell(NotifyState::Ready);
        Systemd {
            watchdog,
            // Twice as often as it must hear of us.
            period: sd_notify::watchdog_enabled().map(|longest| longest / 2),
            told: Instant::now(),
            stuck: None,
        }
    }

    /// To be called often: says that all is well, if it is and if that is due.
    pub fn tick(&mut self) {
        let Some(period) = self.period else {
            return;
        };
        if self.told.elapsed() < period.min(Duration::from_secs(10)) {
            return;
        }
        self.told = Instant::now();
        let stuck = self.watchdog.stuck(LONGEST);
        match &stuck {
            None => tell(NotifyState::Watchdog),
            Some(thread) if self.stuck != stuck => {
                tracing::error!(thread, "A thread is stuck: systemd will start metertap again.");
            }
            Some(_) => {}
        }
        self.stuck = stuck;
    }

    /// We go.
    pub fn stopping(self) {
        tell(NotifyState::Stopping);
    }
}

fn tell(state: NotifyState) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::debug!(%error, "systemd does not listen.");
    }
}
