//! A wire at work: a serial port or TCP bridge that is opened, listened to or polled, and opened again for ever.
//!
//! ```text
//!   source::wire ──bytes──▶ Listener (P1, DLMS, SML, TIC, wM-Bus) ─▶ PortEvent ──▶ daemon
//!        ▲                  Poller (M-Bus, KMP, IEC) ──────▶
//!        └── requests ─────────┘
//! ```
//!
//! A [`Listener`] turns the bytes of a meter that pushes into reports, a [`Poller`] asks and reads; neither knows files,
//! sockets or time. [`Task`](task) drives one of them per port.

mod acceptance;
mod config;
mod dlms;
mod error_log;
mod events;
mod frame_counters;
mod iec;
pub mod iec_poll;
mod interval_estimator;
mod kmp;
pub mod kmp_poll;
mod line_search;
mod listen;
mod mbus;
pub mod mbus_poll;
mod not_understood;
mod p1;
mod poll;
mod poller;
mod probe;
mod sml;
#[cfg(test)]
mod split_tests;
mod tap;
mod task;
mod tic;
pub mod transaction;
mod wmbus;

pub use config::{PortConfig, PortProtocol};
pub use dlms::{Dlms, DlmsOptions};
pub use events::{EventSender, PortEvent, PortEvents, port_events};
pub use iec::Iec;
pub use kmp::Kmp;
pub use mbus::{Answers, Mbus};
pub use not_understood::NotUnderstood;
pub use p1::{CrcPolicy, P1, P1Options};
pub use poller::{PollTarget, Poller, mbus_answer_time};
pub use probe::{Finding, identify, probe};
pub use sml::Sml;
pub use task::{Port, PortOptions};
pub use tic::Tic;
pub use wmbus::Wmbus;

use metertap_decode::report::Report;
use std::sync::Arc;

/// Bytes from a wire that gave no report, or one of which something should be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// Name of the counter that it increments.
    pub kind: &'static str,
    /// What it means for the bytes and for the port.
    pub severity: Severity,
    /// Meter of a bus that it is about: the errors of each are logged by themselves.
    pub about: Option<Box<str>>,
    /// Description for the log.
    pub text: String,
}

/// What a [`DecodeError`] means for the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// They gave a report, of which the user should know something: logged, and counted as no error.
    Notice,
    /// They were read, but are not for this home, or are logged elsewhere: counted, and the port works.
    Counted,
    /// They are of the expected protocol, so the line settings are right, but are refused.
    Refused,
    /// They may be of another protocol, or at another speed.
    Unrecognized,
}

impl Severity {
    /// Returns [`Refused`](Self::Refused) for bytes of the expected protocol, else [`Unrecognized`](Self::Unrecognized).
    fn of_error(is_of_protocol: bool) -> Self {
        if is_of_protocol {
            Severity::Refused
        } else {
            Severity::Unrecognized
        }
    }
}

/// Result of decoding one frame, telegram or message of a stream.
#[derive(Debug)]
pub struct DecodeEvent {
    /// Position of its first byte in the stream.
    pub at: u64,
    /// The report, or the reason why there is none.
    pub result: Result<Report, DecodeError>,
    /// The decrypted telegram, with the first of its reports only.
    pub telegram: Option<Arc<[u8]>>,
}

impl DecodeEvent {
    fn report(at: u64, report: Report) -> Self {
        DecodeEvent {
            at,
            result: Ok(report),
            telegram: None,
        }
    }

    fn error(at: u64, error: impl Into<DecodeError>) -> Self {
        DecodeEvent {
            at,
            result: Err(error.into()),
            telegram: None,
        }
    }
}

/// Decoder for a meter that sends unasked: any split of its bytes gives the same events.
pub trait Listener: Send {
    /// Decodes the next bytes of the stream.
    fn push(&mut self, bytes: &[u8], emit: &mut dyn FnMut(DecodeEvent));

    /// Ends what is unfinished: nothing has come for longer than a telegram pauses.
    fn pause(&mut self, emit: &mut dyn FnMut(DecodeEvent));

    /// Ends the stream; the next bytes are those of a new one.
    fn end(&mut self, emit: &mut dyn FnMut(DecodeEvent)) {
        self.pause(emit);
    }

    /// Ends the last stream: no more bytes will come, so what waits for more of them is emitted as it is.
    fn finish(&mut self, emit: &mut dyn FnMut(DecodeEvent)) {
        self.end(emit);
    }
}
