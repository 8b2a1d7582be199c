//! Frames that may be taken for one of the words of a meter: those of its neighbors, and its own that are not expected.

use super::fields::{MAX_GROUPS, fields, group_bits};
use crate::Protocol;
use crate::fec::crc;
use std::ops::Range;

/// Frames that differ from the base word in some fields, and in the check.
#[derive(Debug)]
pub(crate) struct Relatives {
    /// Bits of each group that may differ.
    pub loose: [u8; MAX_GROUPS],
    /// The same bits with their columns of the check; none for R900 (see [`super::symbol_words`]).
    pub bits: Vec<LooseBit>,
}

impl Relatives {
    pub fn new<const N: usize>(protocol: Protocol, differ: [Range<usize>; N]) -> Self {
        let check = fields(protocol).check;
        let width = group_bits(protocol);
        let mut loose = [0; MAX_GROUPS];
        for bit in differ.into_iter().chain([check.clone()]).flatten() {
            loose[bit / width] |= 1 << (width - 1 - bit % width);
        }
        let code = match protocol {
            Protocol::Scm => Some(crc::SCM),
            Protocol::ScmPlus | Protocol::Idm => Some(crc::GENIBUS),
            Protocol::R900 => None,
        };
        let bits = code.into_iter().flat_map(|code| {
            (0..check.end).map(move |bit| LooseBit {
                group: bit / 8,
                mask: 0x80 >> (bit % 8),
                column: code.column(check.end - 1 - bit),
            })
        });
        let bits = bits.filter(|bit| loose[bit.group] & bit.mask != 0).collect();
        Relatives { loose, bits }
    }
}

/// Bit in which a relative may differ.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LooseBit {
    pub group: usize,
    pub mask: u8,
    /// Column of the check.
    pub column: u16,
}

/// The bits of a counter that differ between meters: no home has used 2^24 counts.
pub(super) fn low_counter(protocol: Protocol) -> Range<usize> {
    let counter = fields(protocol).counter;
    counter.end - 24..counter.end
}
