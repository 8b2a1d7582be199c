//! Configuration of a receiver: rate and center of the window, and the modes to receive.

use super::mode::Modes;
use crate::resample::{HIGHEST_HZ, LOWEST_HZ};

/// Configuration of a receiver.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Samples per second, 1.0 to 3.2 million.
    pub sample_rate_hz: f64,
    /// Frequency of the center of the window. It decides only which channel a carrier is compared with.
    pub center_hz: f64,
    /// Modes to receive; not empty.
    pub modes: Modes,
}

impl Config {
    /// # Errors
    /// See [`ConfigError`].
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if !(LOWEST_HZ..=HIGHEST_HZ).contains(&self.sample_rate_hz) {
            return Err(ConfigError::SampleRate(self.sample_rate_hz));
        }
        if !self.center_hz.is_finite() {
            return Err(ConfigError::Center(self.center_hz));
        }
        if self.modes.is_empty() {
            return Err(ConfigError::NoMode);
        }
        Ok(())
    }
}

/// Invalid configuration.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ConfigError {
    /// Sample rate in samples per second, outside 1.0 to 3.2 million.
    #[error(
        "a sample rate of {0} S/s cannot be used: expected 1 000 000 to 25 600 000 (2 359 296 is customary)"
    )]
    SampleRate(f64),
    /// Center frequency that is not a number.
    #[error("expected a center frequency in Hz, found {0}")]
    Center(f64),
    /// No mode was selected.
    #[error("no mode is selected")]
    NoMode,
}
