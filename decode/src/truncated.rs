//! The error that all framers share.

/// Error for bytes that end before the frame does: more bytes may complete it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cut off: {has} of {needs} bytes")]
pub struct Truncated {
    /// Bytes that are there.
    pub has: usize,
    /// Bytes that are needed, as far as the frame tells its length.
    pub needs: usize,
}

impl Truncated {
    pub(crate) fn new(bytes: &[u8], needs: usize) -> Self {
        let has = bytes.len();
        Truncated { has, needs }
    }
}
