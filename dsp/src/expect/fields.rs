//! Positions of the fields of frames, in bits.

use crate::Protocol;
use std::ops::Range;

/// Groups (bytes, or symbols of R900) of the longest frame that is expected.
pub(super) const MAX_GROUPS: usize = 24;

/// Fields of a frame in which the frames of one meter differ from each other or from those of its neighbors.
pub(super) struct Fields {
    pub counter: Range<usize>,
    /// Type and flags.
    pub status: Range<usize>,
    /// Further flags.
    pub flags: Range<usize>,
    /// The id's lowest bits: those in which neighbors of one delivery differ.
    pub low_id: Range<usize>,
    pub check: Range<usize>,
}

/// Returns the fields of a frame; those of IDM are not used.
pub(super) fn fields(protocol: Protocol) -> Fields {
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

/// Returns the place of the counter; of an IDM, that of its total.
pub(super) fn counter_of(protocol: Protocol) -> Range<usize> {
    if protocol == Protocol::Idm {
        super::idm_fields::TOTAL
    } else {
        fields(protocol).counter
    }
}

/// Returns the id of the meter that sent `frame`.
pub(super) fn id_of(protocol: Protocol, frame: &[u8]) -> u64 {
    match protocol {
        Protocol::Scm => bits(frame, 21..23) << 24 | bits(frame, 56..80),
        Protocol::ScmPlus => bits(frame, 32..64),
        Protocol::Idm => bits(frame, 72..104),
        Protocol::R900 => bits(frame, 0..32),
    }
}

/// Reads a number of up to 64 bits, the first one the most significant.
pub(super) fn bits(bytes: &[u8], range: Range<usize>) -> u64 {
    range.fold(0, |value, bit| {
        value << 1 | u64::from(bytes[bit / 8] >> (7 - bit % 8) & 1)
    })
}

/// Writes the low bits of `value`.
pub(super) fn set_bits(bytes: &mut [u8], range: Range<usize>, value: u64) {
    let last = range.end - 1;
    for bit in range {
        let mask = 0x80 >> (bit % 8);
        if value >> (last - bit) & 1 == 1 {
            bytes[bit / 8] |= mask;
        } else {
            bytes[bit / 8] &= !mask;
        }
    }
}

/// Bits of a group.
pub(super) fn group_bits(protocol: Protocol) -> usize {
    if protocol == Protocol::R900 { 5 } else { 8 }
}
