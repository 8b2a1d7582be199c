//! Errors of pushed messages.

use crate::cipher::CipherError;
use crate::framing::hdlc;
use crate::framing::mbus;

/// Error that costs a pushed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// An HDLC frame is malformed.
    #[error(transparent)]
    Hdlc(#[from] hdlc::FrameError),
    /// An M-Bus frame is malformed.
    #[error(transparent)]
    Mbus(#[from] mbus::FrameError),
    /// A bare ciphered message is malformed.
    #[error(transparent)]
    Cipher(#[from] CipherError),
    /// A segment or block is missing.
    #[error("a part of the message is missing")]
    Gap,
    /// The message is longer than any known one.
    #[error("a message of more than {} bytes", super::MAX_MESSAGE)]
    TooLong,
    /// The M-Bus frame is the answer of a meter that is polled.
    #[error("an M-Bus frame with CI {0:02X}: the answer of a meter that is polled, not one that pushes")]
    Polled(u8),
}

impl PushError {
    /// Returns true if bytes are missing, false if bytes are wrong.
    pub fn is_truncated(&self) -> bool {
        matches!(
            self,
            PushError::Hdlc(hdlc::FrameError::Truncated(_))
                | PushError::Mbus(mbus::FrameError::Truncated(_))
                | PushError::Cipher(CipherError::Truncated(_))
                | PushError::Gap
        )
    }
}
