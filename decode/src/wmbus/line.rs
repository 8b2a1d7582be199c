//! Telegrams as text: hexadecimal digits as people paste them, and the lines of `rtl_wmbus`.
//!
//! ```text
//!  2E44931578563412…
//!  |2E449315_78563412|+12             marks of wmbusmeters' logs
//!  T1;1;1;2026-01-15 12:00:00.000;52;48;12345678;0x2E449315…
//!  b2E449315…  bY2E449315…            sticks with culfw: format A, format B
//! ```

/// Most characters of a line. A telegram has 290 bytes at most.
pub const MAX_LINE: usize = 2048;
/// Field of a line of rtl_wmbus that says whether all CRCs match.
const CRC_FIELD: usize = 1;

/// Error for a line that is not a telegram. Positions count characters from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// A character is no hexadecimal digit and no separator.
    #[error("expected a hexadecimal digit, found `{found}` at character {at}")]
    NotHex {
        /// The character.
        found: char,
        /// Its position.
        at: usize,
    },
    /// There is half a byte at the end.
    #[error("expected an even number of hexadecimal digits, found {0}")]
    Odd(usize),
    /// The line is too long.
    #[error("expected at most {MAX_LINE} characters, found {0}")]
    TooLong(usize),
    /// `rtl_wmbus` says that a CRC does not match.
    #[error("rtl_wmbus marks the telegram as one with a wrong CRC")]
    WrongCrc,
}

/// Returns the bytes of the telegram in a line; `None` for an empty line and for a comment, which begins with `#` or `//`.
///
/// Spaces, `|`, `_`, `:` and `-` between the digits and `0x` in front of them are passed over. Of a line of `rtl_wmbus`, the last
/// field is the telegram.
///
/// # Errors
/// As [`LineError`] describes.
pub fn telegram(line: &str) -> Result<Option<Vec<u8>>, LineError> {
    if line.len() > MAX_LINE {
        return Err(LineError::TooLong(line.chars().count()));
    }
    let text = line.trim();
    if text.is_empty() || text.starts_with('#') || text.starts_with("//") {
        return Ok(None);
    }
    let fields: Vec<&str> = text.split(';').collect();
    let is_rtl_wmbus = fields.len() > CRC_FIELD + 1;
    if is_rtl_wmbus && fields.get(CRC_FIELD).is_some_and(|field| field.trim() == "0") {
        return Err(LineError::WrongCrc);
    }
    let field = if is_rtl_wmbus {
        fields
            .iter()
            .rev()
            .find(|field| !field.trim().is_empty())
            .copied()
            .unwrap_or_default()
    } else {
        text
    };
    let mut digits = field.trim();
    // wmbusmeters' simulation files: `telegram=|…|+12`, where the number is a time in seconds.
    digits = digits.strip_prefix("telegram=").unwrap_or(digits);
    if let Some((telegram, seconds)) = digits.rsplit_once("|+") {
        if seconds.bytes().all(|byte| byte.is_ascii_digit()) {
            digits = telegram;
        }
    }
    digits = without_culfw_mark(digits);
    digits = digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"))
        .unwrap_or(digits);
    let offset = (digits.as_ptr() as usize).saturating_sub(line.as_ptr() as usize);
    let mut nibbles = Vec::with_capacity(digits.len());
    for (at, letter) in digits.char_indices() {
        match letter.to_digit(16) {
            Some(digit) => nibbles.push(digit as u8),
            None if letter.is_whitespace() || matches!(letter, '|' | '_' | ':' | '-') => {}
            None => {
                let before = line.get(..offset + at).map_or(0, |before| before.chars().count());
                return Err(LineError::NotHex {
                    found: letter,
                    at: before + 1,
                });
            }
        }
    }
    if nibbles.len() % 2 != 0 {
        return Err(LineError::Odd(nibbles.len()));
    }
    Ok(Some(
        nibbles
            .chunks_exact(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect(),
    ))
}

/// Removes the mark in front of a telegram of culfw. `b` is a digit, too, but leaves half a byte at the end there.
fn without_culfw_mark(text: &str) -> &str {
    let bare = |rest: &str| rest.len() % 2 == 0 && rest.bytes().all(|byte| byte.is_ascii_hexdigit());
    let rest = text.strip_prefix("bY").or_else(|| text.strip_prefix('b'));
    rest.filter(|rest| bare(rest)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_are_read_as_people_paste_them() {
        let bytes = vec![0x0A, 0x44, 0x43, 0x04];
        for line in [
            "0A444304",
            "  0a 44 43 04\r",
            "|0A44_4304|",
            "telegram=|0A444304|+12",
            "0x0A444304",
            "b0A444304",
            "bY0A444304",
            "T1;1;1;2026-01-15 12:00:00.000;52;48;12345678;0x0A444304",
            "C1;1;1;2026-01-15 12:00:00.000;52;48;12345678;0x0A444304;",
        ] {
            assert_eq!(telegram(line), Ok(Some(bytes.clone())), "{line}");
        }
        for nothing in ["", "   ", "# a comment", "// another"] {
            assert_eq!(telegram(nothing), Ok(None), "{nothing}");
        }
    }

    #[test]
    fn what_is_no_telegram_is_refused_with_its_place() {
        assert_eq!(telegram(" 0A4x"), Err(LineError::NotHex { found: 'x', at: 5 }));
        assert_eq!(telegram("0A4"), Err(LineError::Odd(3)));
        assert_eq!(
            telegram("T1;0;1;2026;52;48;12345678;0x0A444304"),
            Err(LineError::WrongCrc)
        );
        assert_eq!(telegram(&"0".repeat(3000)), Err(LineError::TooLong(3000)));
    }

    proptest! {
        #[test]
        fn bytes_are_read_back(bytes in prop::collection::vec(any::<u8>(), 1..290)) {
            let line = data_encoding::HEXUPPER.encode(&bytes);
            prop_assert_eq!(telegram(&line), Ok(Some(bytes)));
        }

        #[test]
        fn no_text_panics(line in ".{0,100}") {
            let _ = telegram(&line);
            let _ = telegram(&format!("telegram=|{line}"));
            let _ = telegram(&format!("T1;1;{line}"));
        }
    }
}
