//! Wires at work: each port a task that reads, listens and tells, and opens its port again for ever.

mod dlms;
mod errors;
mod frame_counters;
mod interval;
mod kmp;
pub mod kmp_master;
mod mbus;
pub mod mbus_master;
mod p1;
mod poller;
mod tap;
mod task;
pub mod transaction;

pub use dlms::{Dlms, DlmsOptions};
pub use kmp::Kmp;
pub use mbus::{Answers, Mbus};
pub use p1::{CrcPolicy, P1, P1Options};
pub use poller::{PollTarget, Poller};
pub use task::{Port, PortMode, start};

use metertap_decode::report::Report;
use std::sync::Arc;

/// Why something on a wire is not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// One word for the counter.
    pub kind: &'static str,
    /// It speaks the language, so the line is the right one.
    pub is_understood: bool,
    /// In words.
    pub text: String,
}

/// What a listener says.
#[derive(Debug)]
pub struct DecodeEvent {
    /// Where in the stream it began, in bytes.
    pub at: u64,
    /// A report, or why there is none.
    pub what: Result<Report, Trouble>,
    /// The telegram as it came, decrypted, with the first of its reports.
    pub telegram: Option<Arc<[u8]>>,
}

impl DecodeEvent {
    fn report(at: u64, report: Report) -> Self {
        DecodeEvent {
            at,
            what: Ok(report),
            telegram: None,
        }
    }

    fn trouble(at: u64, trouble: impl Into<Trouble>) -> Self {
        DecodeEvent {
            at,
            what: Err(trouble.into()),
            telegram: None,
        }
    }
}

/// Bytes of a meter that speaks by itself become reports.
pub trait Listener: Send {
    /// Takes what came.
    fn push(&mut self, bytes: &[u8], tell: &mut dyn FnMut(DecodeEvent));

    /// Nothing has come for a moment, or will come any more: what is unfinished stays so.
    fn pause(&mut self, tell: &mut dyn FnMut(DecodeEvent));

    /// The stream is over, or was closed.
    fn end(&mut self, tell: &mut dyn FnMut(DecodeEvent)) {
        self.pause(tell);
    }
}
