//! Frame counters per system title: encrypted frames are decrypted once, and repeats refused.

use crate::port::Severity;
use metertap_decode::cipher::{CipherError, Ciphered, Keys};
use std::collections::HashMap;

/// System titles on one port; the counters of further ones are not remembered.
const MAX_TITLES: usize = 16;

/// Frames before the last one that a bridge or a meter may repeat.
const REPEATED: u32 = 8;

/// Returns true for the counter of a frame that was received before.
fn is_repeated(counter: u32, last: u32) -> bool {
    (last.saturating_sub(REPEATED)..=last).contains(&counter)
}

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
    /// Counter below the last one, of a frame whose plaintext is right.
    #[error(
        "the frame counter fell from {last} to {counter}, and the key is right: accepted, for the meter was replaced or has lost its counter"
    )]
    FellBack {
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
            DecryptError::Cipher(CipherError::Truncated(_)) => "cut",
            DecryptError::Cipher(CipherError::BadTag) => "bad_tag",
            DecryptError::Cipher(CipherError::NoFrame(_)) => "no_frame",
            DecryptError::WrongKey => "wrong_key",
            DecryptError::Repeated { .. } => "repeated",
            DecryptError::FellBack { .. } => "counter_reset",
            DecryptError::NoTag => "no_tag",
        }
    }

    /// What it means for the bytes.
    pub fn severity(self) -> Severity {
        match self {
            DecryptError::FellBack { .. } => Severity::Notice,
            other => Severity::of_error(other.kind() != "cut"),
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
    /// Decrypts a frame. A counter far below the last one is left to the plaintext: if that is right, so is the key, and the
    /// meter was replaced or has lost its counter ([`has_fallen_back`](Self::has_fallen_back)).
    ///
    /// # Errors
    /// Returns an error if there is no key, if the frame was received before, or if decryption fails.
    pub fn decrypt(&self, frame: &Ciphered, keys: Option<&Keys>) -> Result<Vec<u8>, DecryptError> {
        let keys = keys.ok_or(DecryptError::NoKey(frame.counter))?;
        match self.0.get(&frame.system_title) {
            Some(&(last, _)) if is_repeated(frame.counter, last) => Err(DecryptError::Repeated {
                counter: frame.counter,
                last,
            }),
            Some((_, true)) if !frame.has_tag() => Err(DecryptError::NoTag),
            _ => Ok(frame.decrypt(keys)?),
        }
    }

    /// Returns the error to report with a frame that is accepted although its counter is below the last one.
    pub fn has_fallen_back(&self, frame: &Ciphered) -> Option<DecryptError> {
        let (last, _) = *self.0.get(&frame.system_title)?;
        let counter = frame.counter;
        (counter < last).then_some(DecryptError::FellBack { counter, last })
    }

    /// Records the counter of a frame whose plaintext made sense; only such a frame may cause others to be refused.
    pub fn accept(&mut self, frame: &Ciphered) {
        if self.0.len() < MAX_TITLES || self.0.contains_key(&frame.system_title) {
            self.0
                .insert(frame.system_title, (frame.counter, frame.has_tag()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(counter: u32, key: &str, with_tag: bool) -> Ciphered {
        let key = key.parse().unwrap();
        let bytes = Ciphered::encrypt(
            *b"MTP\0\0\0\0\x01",
            counter,
            b"text",
            &key,
            with_tag.then_some(&key),
        )
        .unwrap();
        Ciphered::parse(&bytes).unwrap().0
    }

    #[test]
    fn given_a_counter_that_falls_back_then_the_key_is_tried_before_it_is_judged() {
        let (right, wrong) = ("01".repeat(16), "02".repeat(16));
        let keys = Keys {
            encryption: right.parse().unwrap(),
            authentication: Some(right.parse().unwrap()),
        };
        let mut counters = FrameCounters::default();
        counters.accept(&frame(700_020, &right, true));
        assert!(matches!(
            counters.decrypt(&frame(700_019, &right, true), Some(&keys)),
            Err(DecryptError::Repeated { .. })
        ));
        let reset = frame(1, &right, true);
        assert_eq!(counters.decrypt(&reset, Some(&keys)), Ok(b"text".to_vec()));
        assert!(counters.has_fallen_back(&reset).is_some());
        assert_eq!(
            counters.decrypt(&frame(1, &wrong, true), Some(&keys)),
            Err(DecryptError::Cipher(CipherError::BadTag))
        );
        assert_eq!(
            counters.decrypt(&frame(2, &right, false), Some(&keys)),
            Err(DecryptError::NoTag)
        );
        counters.accept(&reset);
        assert_eq!(counters.has_fallen_back(&frame(2, &right, true)), None);
    }
}
