//! Data of IEC 62056-21 readouts, which electricity and heat meters give at their optical eye.
//!
//! Readouts are found and verified by [`framing::iec`](crate::framing::iec). Codes have as many groups as the maker
//! thought necessary: `1.8.0`, `1-0:1.8.0*255`, `6.8`, `C.1.0`.

mod data_set;
mod electricity;
mod heat;
mod report;

pub use data_set::{DataSet, data_sets};
pub use report::{is_battery_powered, is_heat_meter, report};
