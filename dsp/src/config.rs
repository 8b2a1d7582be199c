//! Configuration of a receiver: sample rate, and which error probability is accepted.

use crate::resample::{HIGHEST_HZ, LOWEST_HZ};
use std::str::FromStr;

/// Greatest error probability of a tentative packet; about one in four of them is wrong.
const MAX_TENTATIVE: f32 = 0.3;

/// Error probability up to which a frame is believed on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Trust {
    /// No corrections: a clean check of a clearly received frame.
    Strict,
    /// Up to three corrections where they are some thousand times likelier than any other explanation.
    #[default]
    Normal,
    /// The same, where they are thirty times likelier.
    Eager,
}

impl Trust {
    /// Returns the greatest error probability accepted.
    pub fn max_error_probability(self) -> f32 {
        match self {
            Trust::Strict | Trust::Normal => 7e-4,
            Trust::Eager => 3e-2,
        }
    }

    /// Returns how many corrections are allowed in a frame.
    pub fn max_flips(self) -> usize {
        match self {
            Trust::Strict => 0,
            Trust::Normal | Trust::Eager => 3,
        }
    }
}

/// Name that is not one of [`Trust`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is no degree of trust: use strict, normal or eager")]
pub struct UnknownTrust(String);

impl FromStr for Trust {
    type Err = UnknownTrust;

    fn from_str(name: &str) -> Result<Self, UnknownTrust> {
        match name {
            "strict" => Ok(Trust::Strict),
            "normal" => Ok(Trust::Normal),
            "eager" => Ok(Trust::Eager),
            _ => Err(UnknownTrust(name.into())),
        }
    }
}

/// Configuration of a receiver.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Samples per second, 1.0 to 3.2 million.
    pub sample_rate_hz: f64,
    /// Frames to believe.
    pub trust: Trust,
    /// Hand out tentative packets too: frames that need further evidence (see [`Config::is_tentative`]), for a
    /// caller who remembers earlier readings. No effect with [`Trust::Strict`].
    pub tentative: bool,
}

impl Config {
    /// # Errors
    /// [`ConfigError::SampleRate`] outside 1.0 to 3.2 MS/s.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if (LOWEST_HZ..=HIGHEST_HZ).contains(&self.sample_rate_hz) {
            Ok(())
        } else {
            Err(ConfigError::SampleRate(self.sample_rate_hz))
        }
    }

    /// Returns true if a packet with this error probability is tentative: to be believed only on further
    /// evidence, such as a repetition or an earlier reading of the same meter.
    pub fn is_tentative(&self, error_probability: f32) -> bool {
        error_probability > self.trust.max_error_probability()
    }

    /// Returns the greatest error probability handed out.
    pub(crate) fn max_error_probability(&self) -> f32 {
        if self.tentative && self.trust != Trust::Strict {
            MAX_TENTATIVE
        } else {
            self.trust.max_error_probability()
        }
    }
}

/// Invalid configuration.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ConfigError {
    /// Sample rate in samples per second, outside 1.0 to 3.2 million.
    #[error(
        "a sample rate of {0} S/s cannot be used: expected 225 000 to 25 600 000 (2 359 296 is customary)"
    )]
    SampleRate(f64),
}
