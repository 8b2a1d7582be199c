//! AES-128 as the layers use it: CBC without padding, CTR, and CMAC. FIPS 197, SP 800-38A and SP 800-38B.

use crate::cipher::Key;
use aes::Aes128;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit, StreamCipher};
use cmac::{Cmac, KeyInit, Mac};

/// Bytes of a block.
pub const BLOCK: usize = 16;

/// Decrypts whole blocks in place; bytes behind the last whole block stay.
pub fn cbc_decrypt(key: &Key, iv: &[u8; BLOCK], bytes: &mut [u8]) {
    let mut cipher = cbc::Decryptor::<Aes128>::new(key.bytes().into(), iv.into());
    for block in blocks(bytes) {
        cipher.decrypt_block(block.into());
    }
}

/// Encrypts whole blocks in place; bytes behind the last whole block stay.
pub fn cbc_encrypt(key: &Key, iv: &[u8; BLOCK], bytes: &mut [u8]) {
    let mut cipher = cbc::Encryptor::<Aes128>::new(key.bytes().into(), iv.into());
    for block in blocks(bytes) {
        cipher.encrypt_block(block.into());
    }
}

/// Encrypts or decrypts in place with a counter block that is incremented as one big-endian number.
pub fn ctr(key: &Key, first: &[u8; BLOCK], bytes: &mut [u8]) {
    ctr::Ctr128BE::<Aes128>::new(key.bytes().into(), first.into()).apply_keystream(bytes);
}

/// Returns the CMAC of all parts together.
pub fn cmac(key: &Key, parts: &[&[u8]]) -> [u8; BLOCK] {
    let mut mac = <Cmac<Aes128> as KeyInit>::new(key.bytes().into());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Returns the whole blocks of a slice.
fn blocks(bytes: &mut [u8]) -> impl Iterator<Item = &mut [u8; BLOCK]> {
    bytes
        .chunks_exact_mut(BLOCK)
        .filter_map(|block| block.try_into().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;

    fn bytes(hex: &str) -> Vec<u8> {
        HEXLOWER.decode(hex.as_bytes()).unwrap()
    }

    fn key() -> Key {
        "2b7e151628aed2a6abf7158809cf4f3c".parse().unwrap()
    }

    const PLAIN: &str = "6bc1bee22e409f96e93d7e117393172a";

    /// SP 800-38A, F.2.1 and F.5.1.
    #[test]
    fn the_examples_of_the_standard_are_encrypted_as_printed() {
        let mut cbc = bytes(PLAIN);
        let iv: [u8; 16] = std::array::from_fn(|i| i as u8);
        cbc_encrypt(&key(), &iv, &mut cbc);
        assert_eq!(HEXLOWER.encode(&cbc), "7649abac8119b246cee98e9b12e9197d");
        cbc_decrypt(&key(), &iv, &mut cbc);
        assert_eq!(HEXLOWER.encode(&cbc), PLAIN);
        let mut stream = bytes(PLAIN);
        let first: [u8; 16] = std::array::from_fn(|i| 0xF0 + i as u8);
        ctr(&key(), &first, &mut stream);
        assert_eq!(HEXLOWER.encode(&stream), "874d6191b620e3261bef6864990db6ce");
    }

    /// RFC 4493, 4, examples 1 and 2.
    #[test]
    fn the_examples_of_cmac_have_the_printed_tags() {
        let tag = |parts: &[&[u8]]| HEXLOWER.encode(&cmac(&key(), parts));
        assert_eq!(tag(&[]), "bb1d6929e95937287fa37d129b756746");
        let plain = bytes(PLAIN);
        assert_eq!(
            tag(&[&plain[..5], &plain[5..]]),
            "070a16b46b4d4144f79bdd9dd04a287c"
        );
    }

    #[test]
    fn bytes_behind_the_last_whole_block_stay() {
        let mut bytes = [7; 20];
        cbc_decrypt(&key(), &[0; 16], &mut bytes);
        assert_eq!(bytes[16..], [7; 4]);
        assert_ne!(bytes[..16], [7; 16]);
    }
}
