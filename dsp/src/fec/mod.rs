//! Checks, and what may be concluded when they fail: two 16-bit cyclic codes, a Reed–Solomon code,
//! and one soft-decision corrector for all of them.

pub mod correct;
pub mod crc;
pub mod reed_solomon;
