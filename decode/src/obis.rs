//! OBIS codes, the standard identifiers of what a meter measures (IEC 62056-61).

use std::fmt;
use std::str::FromStr;

/// OBIS code `A-B:C.D.E`, without the sixth group F, the billing period: only current values (F = 255) are parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Obis {
    /// Medium: 0 abstract, 1 electricity, 7 gas, …
    pub a: u8,
    /// Channel, or M-Bus channel of a sub-meter.
    pub b: u8,
    /// Physical quantity, such as 1 (active power, import) or 32 (voltage of phase L1).
    pub c: u8,
    /// Processing, such as 7 (instantaneous) or 8 (time integral).
    pub d: u8,
    /// Tariff or another classification.
    pub e: u8,
}

/// Error for text that is not an OBIS code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an OBIS code: expected A-B:C.D.E, such as 1-0:1.8.0")]
pub struct ObisError(String);

impl FromStr for Obis {
    type Err = ObisError;

    /// Parses `1-0:1.8.1`, and the forms `1-0:1.8.0*255` (Q3D) and `1-0:31.7.0.255` (an example of DSMR 4.2).
    fn from_str(text: &str) -> Result<Self, ObisError> {
        let parse = || {
            let (a, rest) = text.split_once('-')?;
            let (b, rest) = rest.split_once(':')?;
            let rest = rest.strip_suffix("*255").unwrap_or(rest);
            let mut groups = [0; 4];
            let mut count = 0;
            for group in rest.split('.') {
                *groups.get_mut(count)? = number(group)?;
                count += 1;
            }
            let whole = count == 3 || (count == 4 && groups[3] == 255);
            whole.then_some(Obis {
                a: number(a)?,
                b: number(b)?,
                c: groups[0],
                d: groups[1],
                e: groups[2],
            })
        };
        parse().ok_or_else(|| ObisError(text.into()))
    }
}

/// Parses decimal digits; unlike `u8::from_str`, accepts no sign.
fn number(digits: &str) -> Option<u8> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

impl fmt::Display for Obis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}:{}.{}.{}", self.a, self.b, self.c, self.d, self.e)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn codes_in_the_wild_are_understood() {
        for (text, code) in [
            ("1-0:1.8.1", "1-0:1.8.1"),
            ("1-0:1.8.0*255", "1-0:1.8.0"),
            ("1-0:31.7.0.255", "1-0:31.7.0"),
            ("0-0:96.13.0", "0-0:96.13.0"),
        ] {
            assert_eq!(text.parse::<Obis>().unwrap().to_string(), code);
        }
        for wrong in [
            "",
            "1-0:72:32.0",
            "1-0:1.8",
            "1-0:1.8.256",
            "1-0:1.8.0.1",
            "1-0:1.8.-1",
            "0:96.7.19",
        ] {
            assert!(wrong.parse::<Obis>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(a: u8, b: u8, c: u8, d: u8, e: u8) {
            let obis = Obis { a, b, c, d, e };
            prop_assert_eq!(obis.to_string().parse(), Ok(obis));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = text.parse::<Obis>();
        }
    }
}
