//! What a receiver is told: the sample rate, and how much error_probability is too much.

use std::str::FromStr;

/// The greatest error_probability of a lead: wrong about once in four times.
const LEAD: f32 = 0.3;

/// How much error_probability is too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Trust {
    /// No corrections; a clean check of a clearly heard frame.
    Strict,
    /// Up to three corrections where they are some thousand times likelier than any other explanation.
    #[default]
    Normal,
    /// The same, where they are thirty times likelier.
    Eager,
}

impl Trust {
    /// The greatest error_probability accepted.
    pub fn limit(self) -> f32 {
        match self {
            Trust::Strict | Trust::Normal => 7e-4,
            Trust::Eager => 3e-2,
        }
    }

    /// Corrections allowed in a frame.
    pub fn max_flips(self) -> usize {
        match self {
            Trust::Strict => 0,
            Trust::Normal | Trust::Eager => 3,
        }
    }
}

/// A word that is no [`Trust`].
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

/// What a receiver needs to know.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Samples per second, 1.0 to 3.2 million.
    pub sample_rate_hz: f64,
    /// What to believe.
    pub trust: Trust,
    /// Hand out leads as well: frames that cannot stand alone (see [`Config::is_tentative`]), for a caller who
    /// knows the meters.
    pub tentative: bool,
}

impl Config {
    /// # Errors
    /// [`ConfigError::SampleRate`] outside 1.0 to 3.2 MS/s.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if (1.0e6..=3.2e6).contains(&self.sample_rate_hz) {
            Ok(())
        } else {
            Err(ConfigError::SampleRate(self.sample_rate_hz))
        }
    }

    /// Whether a packet with this `error_probability` is but a lead, to be believed only where something else speaks
    /// for it.
    pub fn is_tentative(&self, error_probability: f32) -> bool {
        error_probability > self.trust.limit()
    }

    /// The greatest error_probability handed out. Strict hears no tentative: what it needs are clean frames, not more words.
    pub(crate) fn max_error_probability(&self) -> f32 {
        if self.tentative && self.trust != Trust::Strict {
            LEAD
        } else {
            self.trust.limit()
        }
    }
}

/// A configuration that cannot work.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ConfigError {
    /// The rate does not suit the protocols.
    #[error(
        "a sample rate of {0} S/s cannot be used: ERT needs 1 000 000 to 3 200 000 (2 359 296 is customary)"
    )]
    SampleRate(f64),
}
