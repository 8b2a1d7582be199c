//! Ctrl-C and SIGTERM: asked once, everything drains; asked twice, the process ends at once.

use anyhow::{Context, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Tells whether the process was asked to stop.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// One that signals set.
    ///
    /// # Errors
    /// Where the system refuses the handlers.
    pub fn on_signals() -> Result<Self> {
        let stop = Stop::default();
        for signal in [SIGINT, SIGTERM] {
            // The first signal finds the flag unset and sets it, the second finds it set and ends the process.
            signal_hook::flag::register_conditional_shutdown(signal, 130, stop.0.clone())
                .and_then(|_| signal_hook::flag::register(signal, stop.0.clone()))
                .context("cannot listen to signals")?;
        }
        Ok(stop)
    }

    /// Whether to stop.
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Stops, as a signal would.
    pub fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
