//! SML files, which German electricity meters send: a file becomes messages, a list becomes a report.
//!
//! ```text
//!  76 │ transaction │ group │ abort │ 72 kind, body │ CRC │ 00
//!       body of a list: 77 │ client │ server │ list │ time │ values │ signature │ gateway time
//!       value:          77 │ OBIS (6) │ status │ time │ unit │ scaler │ value │ signature
//! ```
//!
//! Files are found and verified by [`framing::sml`](crate::framing::sml). Each element begins with its type and length
//! ([`Data`]). Makers differ in what they leave out, and some in what they get wrong: [`report`] knows them.

mod data;
mod list;
mod message;
mod report;
mod server_id;

pub use data::{Data, DataError};
pub use list::{Entry, List};
pub use message::{Message, MessageError, file, messages};
pub use report::report;
pub use server_id::printed_id;
