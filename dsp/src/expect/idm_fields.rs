//! Fields of an IDM, in bits.

use std::ops::Range;

/// Interval words of a frame.
pub(super) const WORDS: usize = 47;
/// Values of an interval word.
pub(super) const VALUES: usize = 512;
/// Sixteenths of a second in an interval.
pub(super) const INTERVAL: i64 = 4800;

pub(super) const COUNT: Range<usize> = 104..112;
pub(super) const STATUS: Range<usize> = 112..232;
pub(super) const TOTAL: Range<usize> = 232..264;
pub(super) const INTERVALS: Range<usize> = 264..687;
pub(super) const TIME: Range<usize> = 688..704;
pub(super) const ID_CHECK: Range<usize> = 704..720;
pub(super) const CHECK: Range<usize> = 720..736;
/// The lowest byte of the id, in which neighbors of one delivery differ.
pub(super) const LOW_ID: Range<usize> = 96..104;

/// Returns the bits of interval word `i`.
pub(super) fn interval(i: usize) -> Range<usize> {
    let first = INTERVALS.start + 9 * i;
    first..first + 9
}
