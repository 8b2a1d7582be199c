//! TIC (télé-information client), which French meters send without being asked: groups of a label and a value.
//!
//! Frames are found and verified by [`framing::tic`](crate::framing::tic). Registers have the names of other electricity
//! meters; the field `labels` holds every value as sent, by the meter's own label.

mod labels;
mod report;

pub use report::{ReportError, report};
