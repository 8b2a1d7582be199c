//! Interface between search and lock: a carrier that stood out, and the samples around it.

use crate::Complex32;
use crate::bank::Bandwidth;

/// A carrier that the search found above the noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// Number of the segment's first sample, counted from the first sample ever pushed.
    pub first_sample: u64,
    /// Carrier frequency in cycles per sample, relative to the center of the window.
    pub frequency: f64,
    /// Shape of its spectrum, which decides how it is demodulated.
    pub bandwidth: Bandwidth,
    /// Noise power per sample at this carrier; full scale = 1.
    pub noise: f32,
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
}
