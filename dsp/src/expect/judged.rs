//! Doubt about a word, and what is accepted.

use super::log_sum::ln_sum;
use crate::Method;

/// Probability that a frame of a certain meter begins at a candidate of the search. About two segments of noise a second with 400
/// places each are searched, and a meter sends about once a minute: 2e-5. The rest is the margin of the budget.
pub(super) const PRIOR: f64 = 3e-7;
/// Doubt up to which a word is accepted.
pub(super) const MAX_DOUBT: f64 = 6e-4;
/// Doubt above which there is some other frame or none: a shift of half a sample in five has never brought such a word back.
const HOPELESS: f32 = 0.999;
/// Probability that a frame is none of the words expected, up to which it says something about them.
pub(super) const HOPEFUL: f64 = 0.02;
/// Doubt about the time in an IDM that does not count.
const CERTAIN_TIME: f32 = 1e-4;

/// Word that was accepted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Judged {
    pub bytes: [u8; 92],
    /// Log-likelihood of the word against silence.
    pub likelihood: f64,
    /// Probability that this is not what was sent.
    pub doubt: f32,
    /// Decisions of single bits that would have been wrong.
    pub corrected: u8,
    /// Evidence over what is needed, in dB: about by how much a packet could be weaker.
    pub margin_db: f32,
    /// Probability that this is none of the words expected; of an IDM, none of those that repeats can tell from each other.
    pub other_doubt: f64,
    /// Probability that the time in an IDM is wrong by more than a second.
    pub time_doubt: f32,
    /// Number of the word: of its counter, or the consumption in the newest interval of an IDM.
    pub word: u16,
}

impl Judged {
    /// `ln_words` is the logarithm of the likelihood of all other words together, `ln_else` that of everything else, with their priors.
    pub(super) fn new(bytes: [u8; 92], likelihood: f64, ln_words: f64, ln_else: f64, corrected: u8) -> Self {
        let against = ln_sum([ln_words, ln_else]) - likelihood;
        Judged {
            bytes,
            likelihood,
            doubt: doubt_of(against) as f32,
            corrected,
            margin_db: margin_db(against),
            other_doubt: doubt_of(ln_else - ln_sum([ln_words, likelihood])),
            time_doubt: 0.0,
            word: 0,
        }
    }

    /// Returns true if slightly different assumptions about the samples will not help.
    pub fn is_hopeless(&self) -> bool {
        self.doubt > HOPELESS
    }

    /// Returns true if the doubt is within the budget of false readings.
    pub fn is_accepted(&self) -> bool {
        self.doubt <= MAX_DOUBT as f32
    }

    /// Returns true if this is one of the words that are expected, though it may be another one.
    pub fn is_hopeful(&self) -> bool {
        self.other_doubt <= HOPEFUL
    }

    pub fn method(&self) -> Method {
        let percent = (100.0 * self.time_doubt).ceil() as u8;
        let is_certain = self.time_doubt < CERTAIN_TIME;
        expected(self.margin_db, if is_certain { 0 } else { percent })
    }
}

/// Returns the method of a frame with this margin.
pub(super) fn expected(margin_db: f32, time_doubt_percent: u8) -> Method {
    Method::Expected {
        margin_tenths_db: (10.0 * margin_db) as u8,
        time_doubt_percent,
    }
}

/// Returns by how many dB the evidence exceeds what is needed. `against` is the logarithm of the odds against a word.
pub(super) fn margin_db(against: f64) -> f32 {
    let ln_prior = PRIOR.ln();
    (10.0 * ((against + ln_prior) / (MAX_DOUBT.ln() + ln_prior)).log10()) as f32
}

/// `against` is the logarithm of the odds against a word.
pub(super) fn doubt_of(against: f64) -> f64 {
    1.0 / (1.0 + (-against).exp())
}
