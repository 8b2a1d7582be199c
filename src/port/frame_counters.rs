//! Frame counters per system title: encrypted frames are decrypted once, and repeats refused.

use metertap_decode::cipher::{CipherError, Ciphered, Keys};
use std::collections::HashMap;

/// System titles on one port; the counters of further ones are not remembered.
const MAX_TITLES: usize = 16;

/// Encrypted frame that cannot be decrypted or is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecryptError {
    /// No key is configured.
    #[error("encrypted (frame counter {0}), and no key is configured")]
    NoKey(u32),
    /// Decryption failed, or the frame is incomplete.
    #[error(transparent)]
    Cipher(#[from] CipherError),
    /// Plaintext that makes no sense.
    #[error("decrypts to nothing that makes sense: is the key right?")]
    WrongKey,
    /// Repeated frame.
    #[error("repeated frame: frame counter {counter} after {last}")]
    Repeated {
        /// Frame counter of this frame.
        counter: u32,
        /// Frame counter of the last accepted one.
        last: u32,
    },
    /// Missing authentication tag, where the meter has sent tags before.
    #[error("no authentication tag, although this meter has sent tags before")]
    NoTag,
}

impl DecryptError {
    /// Name of the counter that the error increments.
    pub fn kind(self) -> &'static str {
        match self {
            DecryptError::NoKey(_) => "no_key",
            DecryptError::Cipher(CipherError::Cut { .. }) => "cut",
            DecryptError::Cipher(CipherError::BadTag) => "bad_tag",
            DecryptError::Cipher(CipherError::NoFrame(_)) => "no_frame",
            DecryptError::WrongKey => "wrong_key",
            DecryptError::Repeated { .. } => "repeated",
            DecryptError::NoTag => "no_tag",
        }
    }

    /// Returns true if the bytes certainly are a frame, so that no other one begins within them.
    pub fn is_whole(self) -> bool {
        matches!(self, DecryptError::NoKey(_) | DecryptError::Repeated { .. })
    }
}

/// Last frame counter of each system title, and whether the frame had a tag. Forgotten when a port is opened again: a meter
/// that was replaced or has lost its counter was silent for a while.
#[derive(Debug, Default)]
pub struct FrameCounters(HashMap<[u8; 8], (u32, bool)>);

impl FrameCounters {
    /// Decrypts a frame.
    ///
    /// # Errors
    /// Returns an error if there is no key, if the frame counter does not grow, or if decryption fails.
    pub fn decrypt(&self, frame: &Ciphered, keys: Option<&Keys>) -> Result<Vec<u8>, DecryptError> {
        let keys = keys.ok_or(DecryptError::NoKey(frame.counter))?;
        match self.0.get(&frame.system_title) {
            Some(&(last, _)) if frame.counter <= last => Err(DecryptError::Repeated {
                counter: frame.counter,
                last,
            }),
            Some((_, true)) if !frame.has_tag() => Err(DecryptError::NoTag),
            _ => Ok(frame.decrypt(keys)?),
        }
    }

    /// Records the counter of a frame whose plaintext made sense; only such a frame may cause others to be refused.
    pub fn accept(&mut self, frame: &Ciphered) {
        if self.0.len() < MAX_TITLES || self.0.contains_key(&frame.system_title) {
            self.0
                .insert(frame.system_title, (frame.counter, frame.has_tag()));
        }
    }
}
