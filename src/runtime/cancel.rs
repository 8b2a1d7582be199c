//! Ctrl-C and SIGTERM: asked once, everything drains; asked twice, the process ends at once. SIGHUP: the
//! configuration is to be read again.

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Tells whether the process, or one part of it, was asked to stop.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    all: Arc<AtomicBool>,
    /// Of this part alone.
    own: Option<Arc<AtomicBool>>,
}

impl Stop {
    /// One that signals set.
    ///
    /// # Errors
    /// Where the system refuses the handlers.
    pub fn on_signals() -> Result<Self> {
        let stop = Stop::default();
        for signal in [SIGINT, SIGTERM] {
            // The first signal finds the flag unset and sets it, the second finds it set and ends the process.
            signal_hook::flag::register_conditional_shutdown(signal, 130, stop.all.clone())
                .and_then(|_| signal_hook::flag::register(signal, stop.all.clone()))
                .context("cannot listen to signals")?;
        }
        Ok(stop)
    }

    /// For one part, which can be stopped alone, and stops with all others.
    pub fn part(&self) -> Self {
        Stop {
            all: self.all.clone(),
            own: Some(Arc::default()),
        }
    }

    /// Whether to stop.
    pub fn asked(&self) -> bool {
        self.all.load(Ordering::Relaxed) || self.own.as_ref().is_some_and(|own| own.load(Ordering::Relaxed))
    }

    /// Stops this part; what is no part, all, as a signal would.
    pub fn ask(&self) {
        self.own
            .as_ref()
            .unwrap_or(&self.all)
            .store(true, Ordering::Relaxed);
    }
}

/// Tells when the configuration is to be read again.
#[derive(Clone, Debug, Default)]
pub struct Reload(Arc<AtomicBool>);

impl Reload {
    /// One that SIGHUP sets.
    ///
    /// # Errors
    /// Where the system refuses the handler.
    pub fn on_signal() -> Result<Self> {
        let reload = Reload::default();
        signal_hook::flag::register(SIGHUP, reload.0.clone()).context("cannot listen to signals")?;
        Ok(reload)
    }

    /// Asks for it.
    pub fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked for since the last time.
    pub fn asked(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}
