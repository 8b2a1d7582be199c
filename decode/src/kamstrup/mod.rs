//! Answers of Kamstrup meters to requests by KMP: type, serial number and registers (Kamstrup 5512-447, rev. M1).
//!
//! ```text
//!  CID 01  type (2) │ software revision (2)
//!  CID 02  serial number (4)
//!  CID 10  register (2) │ unit │ length │ sign and exponent │ mantissa …, for each register that the meter has
//! ```
//!
//! Frames are taken apart by [`framing::kmp`](crate::framing::kmp).

mod answer;
mod registers;

pub use answer::{Answer, AnswerError, GET_REGISTERS, GET_SERIAL, GET_TYPE, MAX_REGISTERS, Register, fields};
pub use registers::{MODELS, model, register};
