//! Frame → Message: what the meter said, in its own words. Pure functions.

pub mod cipher;
pub mod dlms;
pub mod ert;
pub mod fields;
pub mod hex;
pub mod kamstrup;
pub mod mbus;
pub mod obis;
pub mod p1;
pub mod quantity;
pub mod report;
pub mod stamp;
