//! Expectations: frames of known meters, received by what is known of them in advance.
//!
//! Of the 2^75 frames that a meter may send, one that was heard before sends one of some thousand: id, type and flags
//! are those of the last frame, and the counter has risen a little. Each of these is a code word of the whole
//! frame, so all its energy, that of the check included, decides between them, and no bit has to be decided alone. An IDM
//! repeats nearly all of the one before (`idm.rs`).
//!
//! ```text
//!  segment ─▶ find: energy of all chips that are known ─▶ demod ─▶ judge: every word, and what else it may be
//!                                                                    │
//!  words ◀── known meters: learn from every frame ◀── accepted ◀─────┤
//!                          add up what repeats say ◀── not certain ──┘
//! ```

mod belief;
mod code_words;
mod evidence;
mod expectation;
mod fields;
mod find;
mod free_field;
mod idm;
mod idm_bits;
mod idm_fields;
mod idm_judge;
#[cfg(test)]
mod idm_tests;
mod judge;
mod judged;
mod known;
mod log_sum;
mod noise;
mod relatives;
mod statuses;
mod symbol_words;
mod template;
mod words;

pub(crate) use evidence::{Evidence, MAX_EVIDENCE};
pub use expectation::{Expectation, MAX_RISE};
pub(crate) use find::Finder;
pub(crate) use idm_judge::IdmJudge;
pub(crate) use judge::Judge;
pub(crate) use judged::Judged;
pub use known::Expected;
pub(crate) use known::KnownMeters;

/// Expectations at a time; more are ignored. Each costs a correlation of every weak segment.
pub const MAX_EXPECTATIONS: usize = 64;
