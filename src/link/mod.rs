//! Bytes → Frame: where frames begin and end, and whether their check passes.

pub mod ert;
pub mod glo;
pub mod p1;
