//! Expectations: frames of known meters, received by what is known of them in advance.
//!
//! Of the 2^75 frames that a meter may send, one that was heard before sends one of some thousand: id, type and flags
//! are those of the last frame, and the counter has risen a little. Each of these is a code word of the whole
//! frame, so all its energy, that of the check included, decides between them, and no bit has to be decided alone. An IDM
//! repeats nearly all of the one before (`idm.rs`).
//!
//! ```text
//!  segment ─▶ find: energy of all chips that are known ─▶ demod ─▶ judge: every word, and what else it may be
//! ```

mod code_words;
mod find;
mod idm;
mod idm_bits;
mod idm_judge;
#[cfg(test)]
mod idm_tests;
mod judge;
mod symbol_words;
mod template;
mod words;

pub(crate) use find::Finder;
use idm::IdmWords;
pub(crate) use idm_judge::IdmJudge;
pub(crate) use judge::{Judge, Judged};
pub(crate) use words::Words;

use crate::Protocol;
use crate::fec;
use std::ops::{Range, RangeInclusive};

/// Expectations at a time; more are ignored. Each costs a correlation of every weak segment.
pub const MAX_EXPECTATIONS: usize = 64;
/// Greatest rise of a counter that is weighed.
pub const MAX_RISE: u32 = 4095;
/// Intervals of five minutes that an IDM may have completed since the last one, if the caller says nothing else.
const FEW_INTERVALS: RangeInclusive<u32> = 0..=3;
/// Most intervals that are weighed: so many are in a frame.
const MAX_INTERVALS: u32 = 47;

/// What is known of the next frame of a meter.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    protocol: Protocol,
    /// The last frame, or one made of id and counter.
    frame: [u8; 92],
    /// Type and flags are those of `frame`.
    is_status_known: bool,
    most_rise: u32,
    /// IDM: intervals completed since.
    intervals: RangeInclusive<u32>,
    /// IDM: seconds since the last frame began.
    heard_ago_s: Option<f64>,
}

impl Expectation {
    /// Expects the meter that sent `frame` (laid out as [`crate::Packet::bytes`]), with a counter that has risen by at most
    /// `most_rise` counts (limited to [`MAX_RISE`]). `None` for a frame of another length.
    pub fn after(protocol: Protocol, frame: &[u8], most_rise: u32) -> Option<Self> {
        if frame.len() != protocol.bytes() {
            return None;
        }
        let mut padded = [0; 92];
        padded[..frame.len()].copy_from_slice(frame);
        fec::encode(protocol, &mut padded[..frame.len()]);
        Some(Expectation {
            protocol,
            frame: padded,
            is_status_known: true,
            most_rise: most_rise.min(MAX_RISE),
            intervals: FEW_INTERVALS,
            heard_ago_s: None,
        })
    }

    /// Tells how many intervals of five minutes an IDM may have completed since its last frame (by default, none to three; limited to
    /// the 47 that a frame holds). Of more than two, none can be received any deeper than without an expectation.
    #[must_use]
    pub fn after_intervals(mut self, fewest: u32, most: u32) -> Self {
        self.intervals = fewest.min(MAX_INTERVALS)..=most.clamp(fewest.min(MAX_INTERVALS), MAX_INTERVALS);
        self
    }

    /// Tells how long before the next sample the last frame began. An IDM holds the time since its newest interval, which can then be
    /// predicted.
    #[must_use]
    pub fn heard_ago(mut self, seconds: f64) -> Self {
        self.heard_ago_s = Some(seconds);
        self
    }

    /// Expects a meter of which only id and counter are known. `None` for IDM and R900, which have too many fields besides, and
    /// for numbers that the frame has no room for.
    pub fn for_counter(protocol: Protocol, id: u32, counter: u32, most_rise: u32) -> Option<Self> {
        let mut frame = [0; 92];
        match protocol {
            Protocol::Scm if id < 1 << 26 && counter < 1 << 24 => {
                frame[2] = (id >> 24 << 1) as u8;
                frame[4..7].copy_from_slice(&counter.to_be_bytes()[1..]);
                frame[7..10].copy_from_slice(&id.to_be_bytes()[1..]);
            }
            Protocol::ScmPlus => {
                frame[4..8].copy_from_slice(&id.to_be_bytes());
                frame[8..12].copy_from_slice(&counter.to_be_bytes());
            }
            _ => return None,
        }
        let mut expectation = Expectation::after(protocol, &frame[..protocol.bytes()], most_rise)?;
        expectation.is_status_known = false;
        Some(expectation)
    }
}

/// Positions of fields, in bits of the frame.
struct Fields {
    counter: Range<usize>,
    /// Type and flags.
    status: Range<usize>,
    /// Further flags.
    flags: Range<usize>,
    /// The id's lowest bits: those in which neighbors of one delivery differ.
    low_id: Range<usize>,
    check: Range<usize>,
}

/// Returns the fields of a frame; those of IDM are not used.
fn fields(protocol: Protocol) -> Fields {
    match protocol {
        Protocol::Scm => Fields {
            counter: 32..56,
            status: 23..32,
            flags: 0..0,
            low_id: 72..80,
            check: 80..96,
        },
        Protocol::ScmPlus | Protocol::Idm => Fields {
            counter: 64..96,
            status: 24..32,
            flags: 96..112,
            low_id: 56..64,
            check: 112..128,
        },
        Protocol::R900 => Fields {
            counter: 48..72,
            status: 32..48,
            flags: 72..80,
            low_id: 24..32,
            check: 80..105,
        },
    }
}

/// Expectations prepared for the receiver; shared by all locks.
#[derive(Debug, Default)]
pub struct Expected {
    pub(crate) meters: Vec<Words>,
    pub(crate) idms: Vec<IdmWords>,
}

impl Expected {
    /// Prepares the first [`MAX_EXPECTATIONS`] of `expectations`, for samples from number `position` on. Allocates.
    pub fn new(expectations: &[Expectation], position: u64, sample_rate_hz: f64) -> Self {
        let mut expected = Expected::default();
        for expectation in expectations.iter().take(MAX_EXPECTATIONS) {
            if expectation.protocol == Protocol::Idm {
                expected
                    .idms
                    .push(IdmWords::new(expectation, position, sample_rate_hz));
            } else {
                expected.meters.push(Words::new(expectation));
            }
        }
        expected
    }
}
