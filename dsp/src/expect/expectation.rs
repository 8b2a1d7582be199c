//! What a caller knows of a meter, and what its frames add to that.

use super::fields::{bits, counter_of, id_of, set_bits};
use super::idm_fields::{COUNT, INTERVAL, TIME};
use crate::fec;
use crate::{Method, Packet, Protocol};
use std::ops::RangeInclusive;

/// Greatest rise of a counter that is weighed.
pub const MAX_RISE: u32 = 4095;
/// Intervals of five minutes that an IDM may have completed since the last one, if the caller says nothing else.
const FEW_INTERVALS: RangeInclusive<u32> = 0..=3;
/// Most intervals that are weighed: so many are in a frame.
const MAX_INTERVALS: u32 = 47;

/// Doubt about the time in an IDM up to which that of the next one is predicted from it.
const MAX_TIME_DOUBT_PERCENT: u8 = 1;
/// Byte of an IDM that counts its intervals.
const INTERVAL_COUNT: usize = COUNT.start / 8;

/// What is known of the next frame of a meter.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    pub(super) protocol: Protocol,
    /// The last frame, or one made of id and counter.
    pub(super) frame: [u8; 92],
    pub(super) knowledge: Knowledge,
    /// Counts below that of `frame` from which on the counter is expected, too.
    pub(super) since: u32,
    pub(super) most_rise: u32,
    /// IDM: intervals completed since.
    pub(super) intervals: RangeInclusive<u32>,
    /// IDM: when the last frame began.
    pub(super) heard: Heard,
}

/// Fields of [`Expectation::frame`] that are known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Knowledge {
    /// The id: nothing is expected before a first frame was received.
    Id,
    /// Id and counter.
    Counter,
    /// All of it.
    Frame,
}

/// When the last frame began.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Heard {
    Unknown,
    /// Seconds before the next sample.
    Ago(f64),
    /// Number of a sample, and the time in an IDM that begins there, in sixteenths of a second since the newest interval of `frame`.
    At {
        sample: i64,
        time: i64,
    },
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
            knowledge: Knowledge::Frame,
            since: 0,
            most_rise: most_rise.min(MAX_RISE),
            intervals: FEW_INTERVALS,
            heard: Heard::Unknown,
        })
    }

    /// Expects counters from that of `earlier` on, too, though seldom: the last frame, which came after it, may have been wrong. Otherwise no
    /// right one could ever correct it. No effect if the counter has risen by more than [`MAX_RISE`], or for an IDM, of
    /// which nothing is expected any more after some intervals.
    #[must_use]
    pub fn or_since(mut self, earlier: &[u8]) -> Self {
        if earlier.len() == self.protocol.bytes() && self.protocol != Protocol::Idm {
            self.since = self.rise_since(earlier).unwrap_or(0);
        }
        self
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
        self.heard = Heard::Ago(seconds);
        self
    }

    /// Expects a meter of which only id and counter are known. `None` for IDM, which has too many fields besides, and
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
            Protocol::R900 if counter < 1 << 27 => {
                frame[..4].copy_from_slice(&id.to_be_bytes());
                // The upper three of 27 bits follow the lower 24.
                set_bits(&mut frame, 48..72, (counter & 0xFF_FFFF).into());
                set_bits(&mut frame, 72..75, (counter >> 24).into());
            }
            _ => return None,
        }
        let mut expectation = Expectation::after(protocol, &frame[..protocol.bytes()], most_rise)?;
        expectation.knowledge = Knowledge::Counter;
        Some(expectation)
    }

    /// Expects nothing of the meter `id` until a frame of it was received, and then counters that have risen by at most `most_rise`.
    pub fn for_id(protocol: Protocol, id: u32, most_rise: u32) -> Option<Self> {
        let counter = 0;
        let mut expectation = match protocol {
            Protocol::Idm => {
                let mut frame = [0; 92];
                frame[9..13].copy_from_slice(&id.to_be_bytes());
                Expectation::after(protocol, &frame, most_rise)?
            }
            _ => Expectation::for_counter(protocol, id, counter, most_rise)?,
        };
        expectation.knowledge = Knowledge::Id;
        Some(expectation)
    }

    /// Dates the last frame by the receiver's clock. `position` is the number of the next sample.
    pub(super) fn date(&mut self, position: u64, sample_rate_hz: f64) {
        if let Heard::Ago(seconds) = self.heard {
            self.heard = self.heard_at(position as i64 - (seconds * sample_rate_hz) as i64);
        }
    }

    /// Returns true if both go out from the same frame, so that their words have the same numbers.
    pub(super) fn has_base_of(&self, other: &Expectation) -> bool {
        (self.protocol, self.frame, self.knowledge, self.since)
            == (other.protocol, other.frame, other.knowledge, other.since)
    }

    /// Returns true if frames of `packet`'s meter are expected here.
    pub(super) fn is_of(&self, packet: &Packet) -> bool {
        self.protocol == packet.protocol
            && id_of(self.protocol, &self.frame) == id_of(self.protocol, packet.bytes())
    }

    /// Takes `packet`, which is of this meter, for its last frame. The frame before stays an alternative to one that did not pass its check.
    pub(super) fn learn(&mut self, packet: &Packet) {
        let passed_check = packet.signal.method == Method::Checked;
        let rise = self.rise_to(packet.bytes());
        self.since = match rise {
            _ if passed_check || self.knowledge == Knowledge::Id || self.protocol == Protocol::Idm => 0,
            Some(rise) => rise,
            // Below the last one: that one or this one was wrong.
            None => self.since.saturating_sub(self.fall_to(packet.bytes())),
        };
        let intervals = packet.bytes[INTERVAL_COUNT].wrapping_sub(self.frame[INTERVAL_COUNT]);
        self.frame = packet.bytes;
        self.knowledge = Knowledge::Frame;
        self.intervals = FEW_INTERVALS;
        if packet.signal.method.time_doubt_percent() <= MAX_TIME_DOUBT_PERCENT {
            self.heard = self.heard_at(packet.start_sample as i64);
        } else if let Heard::At { time, .. } = &mut self.heard {
            // The clock goes on from a frame whose time was certain.
            *time -= i64::from(intervals) * INTERVAL;
        }
    }

    /// Takes over when a frame began, if `other` does not know it.
    pub(super) fn keep_heard(mut self, other: &Expectation) -> Self {
        if self.heard == Heard::Unknown {
            self.heard = other.heard;
        }
        self
    }

    /// Dates the last frame, if it is an IDM whose time is that since its newest interval.
    fn heard_at(&self, sample: i64) -> Heard {
        let time = bits(&self.frame, TIME) as i64;
        if self.protocol == Protocol::Idm && time < INTERVAL {
            Heard::At { sample, time }
        } else {
            Heard::Unknown
        }
    }

    /// Counts from the counter of `earlier` to that of the last frame.
    fn rise_since(&self, earlier: &[u8]) -> Option<u32> {
        difference(self.protocol, earlier, &self.frame)
    }

    fn rise_to(&self, later: &[u8]) -> Option<u32> {
        difference(self.protocol, &self.frame, later)
    }

    fn fall_to(&self, lower: &[u8]) -> u32 {
        difference(self.protocol, lower, &self.frame).unwrap_or(0)
    }
}

/// Returns by how much the counter of `to` is above that of `from`, if it is by no more than [`MAX_RISE`].
fn difference(protocol: Protocol, from: &[u8], to: &[u8]) -> Option<u32> {
    let range = counter_of(protocol);
    let wrap = (1u64 << range.len()) - 1;
    let rise = bits(to, range.clone()).wrapping_sub(bits(from, range)) & wrap;
    (rise <= MAX_RISE.into()).then_some(rise as u32)
}
