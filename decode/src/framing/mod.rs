//! Bytes → Frame: where frames begin and end, and whether their check passes.

pub mod glo;
pub mod hdlc;
pub mod kmp;
pub mod mbus;
pub mod p1;
pub mod push;

/// Bytes that break off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cut off: {has} of {needs} bytes")]
pub struct Cut {
    /// Bytes there.
    pub has: usize,
    /// Bytes needed.
    pub needs: usize,
}

impl Cut {
    fn needs(bytes: &[u8], needs: usize) -> Self {
        let has = bytes.len();
        Cut { has, needs }
    }
}
