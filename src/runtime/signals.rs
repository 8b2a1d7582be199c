//! Signals of the process: SIGINT and SIGTERM cancel it, a second one ends it at once, SIGHUP asks for a reload.

use crate::runtime::clock::Clock;
use crate::runtime::component::{Context, Runtime};
use crate::runtime::heartbeat::Heartbeat;
use anyhow::{Context as _, Result};
use crossbeam_channel::{Receiver, Sender, bounded};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Exit code of a process that a second signal ends.
const INTERRUPTED: i32 = 130;

/// Requests to read the configuration again; several pending ones are one.
#[derive(Clone, Debug)]
pub struct ReloadRequests {
    sender: Sender<()>,
    receiver: Receiver<()>,
}

impl Default for ReloadRequests {
    fn default() -> Self {
        let (sender, receiver) = bounded(1);
        ReloadRequests { sender, receiver }
    }
}

impl ReloadRequests {
    /// Requests a reload.
    pub fn request(&self) {
        // Full: a reload is pending already, and will see the file as it is then.
        let _ = self.sender.try_send(());
    }

    /// Channel on which a pending request arrives.
    pub fn pending(&self) -> &Receiver<()> {
        &self.receiver
    }
}

/// Cancels `context` on SIGINT and SIGTERM. SIGHUP goes to `reload`; without one it has its usual effect.
///
/// # Errors
/// Returns the system's error if a handler or the thread that waits for signals cannot be had.
pub fn handle(context: &Context, reload: Option<ReloadRequests>) -> Result<()> {
    let was_asked = Arc::<AtomicBool>::default();
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal finds the flag unset and sets it, the second finds it set and ends the process
        // even if every thread hangs.
        signal_hook::flag::register_conditional_shutdown(signal, INTERRUPTED, was_asked.clone())
            .and_then(|_| signal_hook::flag::register(signal, was_asked.clone()))
            .context("cannot handle signals")?;
    }
    let mut numbers = vec![SIGINT, SIGTERM];
    numbers.extend(reload.as_ref().map(|_| SIGHUP));
    let mut signals = Signals::new(numbers).context("cannot handle signals")?;
    let cancel = context.cancel.clone();
    let wait = move |heartbeat: Heartbeat| {
        heartbeat.idle();
        for signal in signals.forever() {
            match (signal, &reload) {
                (SIGHUP, Some(reload)) => reload.request(),
                _ => cancel.cancel(),
            }
        }
    };
    context.thread("signals", wait).context("cannot handle signals")?;
    Ok(())
}

impl Runtime {
    /// Starts the runtime of a command that runs in the foreground: SIGINT and SIGTERM cancel it.
    ///
    /// # Errors
    /// Returns the system's error if threads or signal handlers cannot be had.
    pub fn for_command() -> Result<Self> {
        let runtime = Self::start(Clock::system())?;
        handle(&runtime.context, None)?;
        Ok(runtime)
    }
}
