//! What the searches hand to the lock.

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Detection {
    /// Number of the first sample.
    pub first_sample: u64,
    /// Frequency in cycles per sample to which the samples are to be, or have been, shifted; the carrier is `shift` beside it. It and
    /// the deviation have errors of some percent of the width.
    pub frequency: f64,
    pub shift: f64,
    pub deviation: f64,
    /// Noise power per sample at this carrier, and mean noise power of the whole window.
    pub noise: f32,
    pub window_noise: f32,
}
