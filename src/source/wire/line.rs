//! Settings of a serial line: speed and framing of a character.

use serde::Serialize;
use std::fmt;
use std::str::FromStr;
use tokio_serial::{DataBits, Parity, StopBits};

/// Framing of a character: data bits, parity and stop bits, as in `8N1` or `7E1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framing {
    /// Data bits, 7 or 8.
    pub data: DataBits,
    /// Parity.
    pub parity: Parity,
    /// Stop bits, 1 or 2.
    pub stop: StopBits,
}

/// Text that is not a [`Framing`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid framing `{0}`: expected data bits, parity and stop bits, such as 8N1, 7E1, 8E1 or 8N2")]
pub struct UnknownFraming(String);

impl FromStr for Framing {
    type Err = UnknownFraming;

    fn from_str(text: &str) -> Result<Self, UnknownFraming> {
        let parse = || {
            let [data, parity, stop] = *text.as_bytes() else {
                return None;
            };
            Some(Framing {
                data: match data {
                    b'7' => DataBits::Seven,
                    b'8' => DataBits::Eight,
                    _ => return None,
                },
                parity: match parity.to_ascii_uppercase() {
                    b'N' => Parity::None,
                    b'E' => Parity::Even,
                    b'O' => Parity::Odd,
                    _ => return None,
                },
                stop: match stop {
                    b'1' => StopBits::One,
                    b'2' => StopBits::Two,
                    _ => return None,
                },
            })
        };
        parse().ok_or_else(|| UnknownFraming(text.into()))
    }
}

impl fmt::Display for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parity = match self.parity {
            Parity::None => 'N',
            Parity::Even => 'E',
            Parity::Odd => 'O',
        };
        write!(f, "{}{parity}{}", u8::from(self.data), u8::from(self.stop))
    }
}

/// Speed and framing, as in `115200 8N1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Speed, symbols a second.
    pub baud: u32,
    /// Framing of a character.
    pub framing: Framing,
}

impl Line {
    /// Returns a line with 8 data bits, no parity and 1 stop bit.
    pub const fn plain(baud: u32) -> Self {
        let framing = Framing {
            data: DataBits::Eight,
            parity: Parity::None,
            stop: StopBits::One,
        };
        Line { baud, framing }
    }

    /// Returns a line with 8 data bits, no parity and 2 stop bits.
    pub const fn two_stop_bits(baud: u32) -> Self {
        let framing = Framing {
            stop: StopBits::Two,
            ..Self::plain(baud).framing
        };
        Line { baud, framing }
    }

    /// Returns a line with `data` bits, even parity and 1 stop bit.
    pub const fn even(baud: u32, data: DataBits) -> Self {
        let framing = Framing {
            data,
            parity: Parity::Even,
            stop: StopBits::One,
        };
        Line { baud, framing }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.baud, self.framing)
    }
}

impl Serialize for Line {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_framing_then_it_is_displayed_as_it_was_parsed() {
        for text in ["8N1", "7E1", "8E1", "8N2", "7O1"] {
            assert_eq!(text.parse::<Framing>().unwrap().to_string(), text);
        }
        for wrong in ["", "8N", "9N1", "8X1", "8N3", "8N1 ", "é1"] {
            assert!(wrong.parse::<Framing>().is_err(), "{wrong}");
        }
        assert_eq!(Line::even(9600, DataBits::Seven).to_string(), "9600 7E1");
    }
}
