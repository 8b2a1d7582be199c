//! Who encrypts on a port, and what is known of them.

use metertap_decode::cipher::{CipherError, Ciphered, Keys};
use std::collections::HashMap;

/// Meters on one port; more are not remembered.
const MAX_TITLES: usize = 16;

/// Why a ciphered frame is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecryptError {
    /// There is no key.
    #[error("is encrypted (frame counter {0}), and there is no key")]
    NoKey(u32),
    /// It cannot be decrypted, or not all of it is there.
    #[error(transparent)]
    Cipher(#[from] CipherError),
    /// The plaintext is none.
    #[error("decrypts to nothing that can be read: is the key right?")]
    WrongKey,
    /// It was heard before.
    #[error("frame counter {counter} after {last}: a repeated frame")]
    Repeated {
        /// Of this frame.
        counter: u32,
        /// Of the last one.
        last: u32,
    },
    /// There was one before.
    #[error("there is no tag, though this meter has sent tags before")]
    NoTag,
}

impl DecryptError {
    /// One word for the counter.
    pub fn kind(self) -> &'static str {
        match self {
            DecryptError::NoKey(_) => "no_key",
            DecryptError::Cipher(CipherError::Truncated(_)) => "cut",
            DecryptError::Cipher(CipherError::BadTag) => "bad_tag",
            DecryptError::Cipher(CipherError::NoFrame(_)) => "no_frame",
            DecryptError::WrongKey => "wrong_key",
            DecryptError::Repeated { .. } => "repeated",
            DecryptError::NoTag => "no_tag",
        }
    }

    /// Whether it is certainly a frame, and no other begins within it.
    pub fn is_whole(self) -> bool {
        matches!(self, DecryptError::NoKey(_) | DecryptError::Repeated { .. })
    }
}

/// By system title: the last frame counter, and whether there was a tag. Forgotten when a port is opened again: a
/// meter that has lost its counter was silent for a while.
#[derive(Debug, Default)]
pub struct FrameCounters(HashMap<[u8; 8], (u32, bool)>);

impl FrameCounters {
    /// The plaintext of a frame.
    ///
    /// # Errors
    /// Why it is not read.
    pub fn open(&self, frame: &Ciphered, keys: Option<&Keys>) -> Result<Vec<u8>, DecryptError> {
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

    /// It was read: only such a frame may forbid what comes after.
    pub fn believe(&mut self, frame: &Ciphered) {
        if self.0.len() < MAX_TITLES || self.0.contains_key(&frame.system_title) {
            self.0
                .insert(frame.system_title, (frame.counter, frame.has_tag()));
        }
    }
}
