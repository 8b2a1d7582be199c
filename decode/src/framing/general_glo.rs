//! Ciphered frames (general-glo-ciphering) that are sent bare, as by P1 meters in Luxembourg and Austria.
//!
//! The layout is that of [`cipher`](crate::cipher).

use crate::cipher::{CipherError, Ciphered, GENERAL_GLO, MAX_LEN};

/// Finds ciphered frames in a stream. Holds at most two frames' worth of bytes (16 KiB).
#[derive(Debug, Default)]
pub struct GeneralGloFramer {
    buffer: Vec<u8>,
    /// Bytes taken so far.
    taken: u64,
    /// Bytes discarded: noise, and frames that broke off.
    pub skipped: u64,
}

impl GeneralGloFramer {
    /// Takes `bytes` and passes every frame that they complete to `found`, with the position at which it begins.
    ///
    /// `found` returns true if the frame could be decrypted or is certainly one. Otherwise the search continues at the
    /// second byte of the frame: noise, and bytes within a frame, may look like a header.
    pub fn push(&mut self, bytes: &[u8], mut found: impl FnMut(u64, &Ciphered) -> bool) {
        for part in bytes.chunks(MAX_LEN) {
            self.buffer.extend_from_slice(part);
            self.taken += part.len() as u64;
            self.search(false, &mut found);
        }
    }

    /// Ends the unfinished frame at a pause on the line or the end of a file. Returns the position of the first frame that
    /// has broken off, if there is one, and the error.
    pub fn pause(&mut self, mut found: impl FnMut(u64, &Ciphered) -> bool) -> Option<(u64, CipherError)> {
        let begun = self.search(true, &mut found);
        self.skipped += self.buffer.len() as u64;
        self.buffer.clear();
        begun
    }

    fn search(
        &mut self,
        is_end: bool,
        found: &mut impl FnMut(u64, &Ciphered) -> bool,
    ) -> Option<(u64, CipherError)> {
        let first = self.taken - self.buffer.len() as u64;
        let mut at = 0;
        let mut broken_off = None;
        while let Some(next) = self.buffer[at..].iter().position(|byte| *byte == GENERAL_GLO) {
            self.skipped += next as u64;
            at += next;
            match Ciphered::parse(&self.buffer[at..]) {
                Ok((frame, len)) if found(first + at as u64, &frame) => {
                    at += len;
                    continue;
                }
                // Bounded: a header states at most MAX_LEN bytes, so the rest of the frame is awaited only that long.
                Err(CipherError::Truncated(_)) if !is_end => {
                    self.buffer.drain(..at);
                    return None;
                }
                // Tag and length of the system title match; noise seldom does.
                Err(error @ CipherError::Truncated(cut)) if cut.has > 2 && broken_off.is_none() => {
                    broken_off = Some((first + at as u64, error));
                }
                _ => {}
            }
            self.skipped += 1;
            at += 1;
        }
        self.skipped += (self.buffer.len() - at) as u64;
        self.buffer.clear();
        broken_off
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cipher::{Key, Keys};
    use proptest::prelude::*;

    fn keys() -> Keys {
        Keys {
            encryption: "000102030405060708090A0B0C0D0E0F".parse().unwrap(),
            authentication: Some("30D0D1D2D3D4D5D6D7D8D9DADBDCDDDEDF".parse().unwrap()),
        }
    }

    fn frame(counter: u32, text: &[u8]) -> Vec<u8> {
        let authentication: Key = keys().authentication.unwrap();
        Ciphered::encrypt(
            *b"MTP\0\0\0\0\x01",
            counter,
            text,
            &keys().encryption,
            Some(&authentication),
        )
        .unwrap()
    }

    fn texts(parts: &[&[u8]]) -> Vec<Vec<u8>> {
        let (mut framer, mut texts) = (GeneralGloFramer::default(), Vec::new());
        let mut take = |_: u64, frame: &Ciphered| frame.decrypt(&keys()).map(|text| texts.push(text)).is_ok();
        for part in parts {
            framer.push(part, &mut take);
        }
        framer.pause(&mut take);
        texts
    }

    #[test]
    fn given_noise_and_a_false_start_then_the_frames_are_found() {
        let noise = b"\xdb\xdb\x08 and noise";
        let cut = &frame(6, b"cut off")[..20];
        let found = texts(&[noise, &frame(7, b"one"), noise, cut, &frame(8, b"two"), noise]);
        assert_eq!(found, [b"one".to_vec(), b"two".to_vec()]);
    }

    proptest! {
        #[test]
        fn what_is_encrypted_is_read_however_it_is_split(
            text in prop::collection::vec(any::<u8>(), 1..600), counter: u32, cuts in prop::collection::vec(0usize..700, 0..6),
        ) {
            let bytes = frame(counter, &text);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let parts: Vec<&[u8]> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
            prop_assert_eq!(texts(&parts), vec![text]);
        }

        #[test]
        fn a_flipped_bit_is_never_believed(bit in 0usize..10_000) {
            let mut bytes = frame(1, b"1-0:1.7.0(01.193*kW)");
            let bit = bit % (8 * bytes.len());
            // That there is a tag is said by one bit, which nothing protects but the CRC of the telegram.
            prop_assume!(bit != 8 * 13 + 4);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(texts(&[&bytes]).is_empty());
        }

        #[test]
        fn no_bytes_panic_or_grow(bytes in prop::collection::vec(any::<u8>(), 0..20_000)) {
            let mut framer = GeneralGloFramer::default();
            framer.push(&bytes, |_, _| false);
            prop_assert!(framer.buffer.len() <= 2 * MAX_LEN);
        }
    }
}
