//! Answers of meters on a wired M-Bus (EN 13757-3): a header and records.
//!
//! ```text
//!  CI 72  number (4, BCD) │ maker (2) │ version │ medium │ access number │ status │ configuration (2) │ records
//!  CI 73  number (4, BCD) │ access number │ status │ units and medium (2) │ counter (4) │ counter (4)
//!  CI 70  application error
//! ```
//!
//! Frames are taken apart by [`framing::mbus`](crate::framing::mbus). [`Message::parse`] decodes the data of one frame;
//! an answer of several frames has [`more_follows`](Message::more_follows) set in all but the last. [`mbus_report`](crate::mbus_report) names
//! the values.

mod explain;
mod fixed;
mod header;
mod profile;
mod records;
mod types;
mod value;
mod vif;
mod vife;

pub(crate) use explain::record_text;
pub use explain::{Part, explain_records};
pub(crate) use header::{manufacturer, medium, status_names};
pub use records::{RecordSpan, records, walk};
pub use types::{Function, Message, MessageError, Record, RecordError, Value};
pub(crate) use value::{bcd, number, scaled, signed, time};
pub(crate) use vif::primary;
