//! Interface between search and lock: a carrier that stood out, and the samples around it.

use crate::Complex32;
use crate::bank::Bandwidth;
use crate::expect::Expected;
use std::sync::Arc;

/// Jobs under way at any time. A block of a busy street has a handful of segments; more than this at once is
/// an interferer, and what does not fit is counted in [`crate::Tally::dropped_segments`].
pub const MAX_JOBS: usize = 64;
/// Blocks (1.75 ms each) between a job and the evaluation of its outcome: time for executors with threads to
/// finish it while the search goes on.
pub(crate) const DELAY: u64 = 4;

/// A carrier that the search found above the noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// Number of the segment's first sample, counted from the first sample ever pushed.
    pub first_sample: u64,
    /// Samples at the front in which only an expected IDM may begin.
    pub lead: usize,
    /// Carrier frequency in cycles per sample, relative to the center of the window.
    pub frequency: f64,
    /// Shape of its spectrum, which decides how it is demodulated.
    pub bandwidth: Bandwidth,
    /// Noise power per sample at this carrier; full scale = 1.
    pub noise: f32,
    /// The same around this carrier, estimated from many more values; 0 unless meters are expected.
    pub noise_around: f32,
    /// Frequency of a spur so near that it disturbs this carrier, in cycles per sample to half a bin of the search; `None` unless
    /// meters are expected.
    pub spur: Option<f64>,
    /// Mean noise power per sample of the whole window.
    pub window_noise: f32,
}

/// Samples in which one carrier may hold frames: the input of [`crate::Locker::run`].
///
/// At most 52 blocks of the search long (one block: about 1.75 ms).
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// The samples, with the receiver's DC offset removed.
    pub samples: &'a [Complex32],
    /// The carrier found in them.
    pub detection: Detection,
    /// Meters expected in it; `None` where the signal is so strong that no expectation is needed.
    pub expected: Option<&'a Arc<Expected>>,
}
