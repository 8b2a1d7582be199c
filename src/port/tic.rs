//! Listener for the TIC port of French meters.

use crate::port::{DecodeError, DecodeEvent, Listener, Severity};
use metertap_decode::Truncated;
use metertap_decode::framing::tic::{Frame, Framer};
use metertap_decode::tic::{ReportError, report};
use metertap_decode::time::Zone;

/// Frame, or group of one, that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TicError {
    /// The frame breaks off.
    #[error(transparent)]
    Truncated(#[from] Truncated),
    /// The frame gives no report.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The check of some groups does not match; the others are used.
    #[error("{0} groups of a TIC frame with a wrong check are left out")]
    Groups(usize),
}

/// Decoder of one port.
#[derive(Default)]
pub struct Tic {
    framer: Framer,
    zone: Zone,
}

impl Tic {
    /// Creates a decoder for a meter in this time zone.
    pub fn new(zone: Zone) -> Self {
        Tic {
            zone,
            ..Tic::default()
        }
    }
}

impl Listener for Tic {
    fn push(&mut self, bytes: &[u8], emit: &mut dyn FnMut(DecodeEvent)) {
        let Tic { framer, zone } = self;
        framer.push(bytes, |at, frame| decode(at, frame, zone, emit));
    }

    fn pause(&mut self, emit: &mut dyn FnMut(DecodeEvent)) {
        let Tic { framer, zone } = self;
        framer.pause(|at, frame| decode(at, frame, zone, emit));
    }
}

fn decode(at: u64, frame: Result<Frame, Truncated>, zone: &Zone, emit: &mut dyn FnMut(DecodeEvent)) {
    let result = frame.map_err(TicError::from).and_then(|frame| {
        let report = report(&frame, zone)?;
        Ok((report, frame.wrong))
    });
    match result {
        Ok((report, wrong)) => {
            emit(DecodeEvent::report(at, report));
            if wrong > 0 {
                emit(DecodeEvent::error(at, TicError::Groups(wrong)));
            }
        }
        Err(error) => emit(DecodeEvent::error(at, error)),
    }
}

impl From<TicError> for DecodeError {
    fn from(error: TicError) -> Self {
        let kind = match error {
            TicError::Truncated(_) => "cut",
            TicError::Report(_) => "no_id",
            TicError::Groups(_) => "wrong_check",
        };
        DecodeError {
            kind,
            // At a wrong speed, 02 and 03 come by chance, but no group is right.
            severity: Severity::of_error(matches!(error, TicError::Groups(_))),
            about: None,
            text: error.to_string(),
        }
    }
}
