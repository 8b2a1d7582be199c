//! DLMS/COSEM messages that meters push: a notification becomes objects, objects become a report.
//!
//! ```text
//!  0F │ invoke id and priority (4) │ 0C date-time (12), or 00 │ one value, usually a structure
//! ```
//!
//! Messages are assembled from frames by [`framing::dlms`](crate::framing::dlms) and decrypted by
//! [`cipher`](crate::cipher). Makers differ in how they order codes and values, and in what they leave out:
//! [`Objects`] finds the pairs, [`ListMapping`] recognizes lists without codes, [`Scales`] supplies powers of ten.

mod clock;
mod data;
mod energy_check;
mod list_mapping;
mod notification;
mod objects;
mod power_check;
mod report;
mod scales;
pub(crate) mod unit;

pub use data::{Data, DataError, Width};
pub use list_mapping::{ListEntry, ListMapping, ValueType};
pub use notification::{NOTIFICATION, Notification, NotificationError};
pub use objects::{Object, Objects};
pub use power_check::ScaleFinding;
pub use report::{ReportOptions, ScaleMemory, report, report_with};
pub use scales::{GivenScales, Scales};
