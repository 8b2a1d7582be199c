//! Error detection and correction: two 16-bit cyclic codes, a Reed–Solomon code, and one soft-decision corrector
//! for all of them.

pub mod correct;
pub mod crc;
mod encode;
pub mod reed_solomon;

pub use encode::encode;
pub(crate) use encode::r900_symbol;
