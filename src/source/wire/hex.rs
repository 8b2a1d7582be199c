//! Recordings in hexadecimal digits.

use data_encoding::HEXUPPER_PERMISSIVE;

/// Parses hex digits, with white space and `//` comments between them; `None` if the text holds anything else.
pub fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let digits: String = text
        .lines()
        .flat_map(|line| line.split("//").next().unwrap_or_default().chars())
        .filter(|digit| !digit.is_ascii_whitespace())
        .collect();
    let octets = HEXUPPER_PERMISSIVE.decode(digits.as_bytes()).ok()?;
    (!octets.is_empty()).then_some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_read_with_space_and_comments_and_nothing_else_is() {
        assert_eq!(from_hex(b"7e A0 // frame\n0f\n"), Some(vec![0x7E, 0xA0, 0x0F]));
        for other in [&b"/ISK5"[..], b"7e A", b"", b"\x7e\xa0"] {
            assert_eq!(from_hex(other), None);
        }
    }
}
