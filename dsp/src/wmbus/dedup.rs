//! Duplicate filter: a frame that was found twice, as in the skirt of its own spectrum or in both parts of a burst that was
//! cut, is handed out once.

use super::frame::Frame;

/// Frames remembered.
const REMEMBERED: usize = 16;

/// Remembers the newest frames.
pub(super) struct Deduplicator {
    seen: [Option<Frame>; REMEMBERED],
    next: usize,
    /// Distance within which equal bytes are one transmission, in samples.
    reach: u64,
}

impl Deduplicator {
    pub fn new(sample_rate_hz: f64) -> Self {
        Deduplicator {
            seen: [None; REMEMBERED],
            next: 0,
            reach: (sample_rate_hz * 1e-3) as u64,
        }
    }

    /// Returns true if `frame` has not been seen before, and remembers it.
    pub fn is_new(&mut self, frame: &Frame) -> bool {
        let is_same =
            |seen: &Frame| seen.bytes() == frame.bytes() && seen.sample.abs_diff(frame.sample) < self.reach;
        if self.seen.iter().flatten().any(is_same) {
            return false;
        }
        self.seen[self.next] = Some(*frame);
        self.next = (self.next + 1) % REMEMBERED;
        true
    }
}
