//! Threads and their order: the only place that starts any.

mod chorus;
mod hearing;
mod hop;
mod probe;
mod pulse;
mod radio;
mod ring;
mod steward;
mod stop;
mod supervise;
mod teller;
mod view;
pub mod wire;

pub use chorus::{Chorus, Event};
pub use probe::Probe;
pub use pulse::stuck;
pub use radio::{End, Heard, Orders, Radio};
pub use steward::Steward;
pub use stop::{Reload, Stop};
pub use supervise::{Condition, State};
pub use view::{Row, View};

/// Asks for a higher priority for the calling thread: samples do not wait. Where that is not allowed, as for
/// most users, it goes on as it is.
pub fn raise_priority() {
    #[cfg(target_os = "linux")]
    {
        // On Linux a nice value is a thread's, not a process's.
        let thread = rustix::thread::gettid();
        if let Err(error) = rustix::process::setpriority_process(Some(thread), -10) {
            tracing::debug!(%error, "No higher priority for the sample thread.");
        }
    }
}
