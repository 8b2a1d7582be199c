//! Octets written as hexadecimal digits.

use std::fmt;

/// The octets of `digits`; nothing where there is anything but pairs of hexadecimal digits.
pub fn octets(digits: &str) -> Option<Vec<u8>> {
    // `from_str_radix` would take a sign.
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) || digits.len() % 2 != 0 {
        return None;
    }
    digits
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

/// Octets written in capitals.
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_of_digits_are_octets_and_nothing_else_is() {
        assert_eq!(octets("00ffA5"), Some(vec![0, 255, 165]));
        assert_eq!(Hex(&[0, 255, 165]).to_string(), "00FFA5");
        assert_eq!(octets(""), Some(vec![]));
        for wrong in ["0", "0g", "+1", " 00", "é0"] {
            assert_eq!(octets(wrong), None, "{wrong}");
        }
    }
}
