//! Compressed recordings, recognized by their first bytes: gzip is unpacked on the way, others are refused by name.

use anyhow::{Result, bail};
use flate2::read::MultiGzDecoder;
use std::io::Read;

/// First bytes of a gzip file (RFC 1952).
const GZIP: &[u8] = &[0x1F, 0x8B, 8];

/// First bytes, name and unpacking command of formats that are not read.
const REFUSED: [(&[u8], &str, &str); 6] = [
    (&[0x28, 0xB5, 0x2F, 0xFD], "zstd", "zstd -d"),
    (&[0xFD, b'7', b'z', b'X', b'Z', 0], "xz", "xz -dk"),
    (b"BZh", "bzip2", "bzip2 -dk"),
    (b"PK\x03\x04", "zip", "unzip"),
    (&[b'7', b'z', 0xBC, 0xAF, 0x27, 0x1C], "7-Zip", "7z x"),
    (&[0x04, 0x22, 0x4D, 0x18], "lz4", "lz4 -d"),
];

/// Returns whether a file that begins with `head` is compressed with gzip.
///
/// # Errors
/// Returns an error that names the compression and the remedy, if it is another one.
pub fn is_gzip(head: &[u8], name: &str) -> Result<bool> {
    if let Some((_, format, command)) = REFUSED.iter().find(|(magic, _, _)| head.starts_with(magic)) {
        bail!("{name}: is compressed with {format}, which is not read: unpack it first ({command} {name})");
    }
    Ok(head.starts_with(GZIP))
}

/// Unpacks a gzip file while it is read.
pub fn unpacked(reader: impl Read + Send + 'static) -> impl Read + Send {
    MultiGzDecoder::new(reader)
}

/// Returns the name without the ending of gzip: `x_2400k.cu8.gz` holds `x_2400k.cu8`.
pub fn without_ending(name: &str) -> &str {
    name.strip_suffix(".gz")
        .or_else(|| name.strip_suffix(".gzip"))
        .unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_compressed_file_then_it_is_recognized_by_its_first_bytes() {
        assert!(is_gzip(&[0x1F, 0x8B, 8, 0, 9], "a.cu8").unwrap());
        assert!(!is_gzip(&[127, 128, 126], "a.cu8").unwrap());
        let refusal = is_gzip(&[0x28, 0xB5, 0x2F, 0xFD, 0], "a.cu8")
            .unwrap_err()
            .to_string();
        assert!(refusal.contains("zstd -d a.cu8"), "{refusal}");
    }
}
