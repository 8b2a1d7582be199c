//! Commodities.

use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// Commodity that a meter measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Commodity {
    /// Electricity.
    Electric,
    /// Gas.
    Gas,
    /// Water.
    Water,
    /// The type of the meter does not tell.
    Unknown,
}

impl Commodity {
    /// Returns the customary meaning of an ERT type (`docs/protocols/ert.md`, section "ERT types"): electric 4, 5, 7, 8; gas
    /// 0, 1, 2, 9, 12; water 3, 11, 13. It is common, not guaranteed.
    pub fn from_ert_type(ert_type: u8) -> Self {
        match ert_type {
            4 | 5 | 7 | 8 => Commodity::Electric,
            0 | 1 | 2 | 9 | 12 => Commodity::Gas,
            3 | 11 | 13 => Commodity::Water,
            _ => Commodity::Unknown,
        }
    }
}

/// Error for a word that is not a [`Commodity`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a commodity: expected electric, gas or water")]
pub struct CommodityError(String);

impl FromStr for Commodity {
    type Err = CommodityError;

    fn from_str(name: &str) -> Result<Self, CommodityError> {
        match name.to_ascii_lowercase().as_str() {
            "electric" | "electricity" => Ok(Commodity::Electric),
            "gas" => Ok(Commodity::Gas),
            "water" => Ok(Commodity::Water),
            _ => Err(CommodityError(name.into())),
        }
    }
}

impl fmt::Display for Commodity {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(match self {
            Commodity::Electric => "electric",
            Commodity::Gas => "gas",
            Commodity::Water => "water",
            Commodity::Unknown => "?",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ert_type_has_its_customary_commodity() {
        let of = |commodity| {
            (0..16)
                .filter(|ert_type| Commodity::from_ert_type(*ert_type) == commodity)
                .collect::<Vec<u8>>()
        };
        assert_eq!(of(Commodity::Electric), [4, 5, 7, 8]);
        assert_eq!(of(Commodity::Gas), [0, 1, 2, 9, 12]);
        assert_eq!(of(Commodity::Water), [3, 11, 13]);
    }

    #[test]
    fn words_are_parsed_in_any_case() {
        assert_eq!("Electricity".parse(), Ok(Commodity::Electric));
        assert_eq!("gas".parse(), Ok(Commodity::Gas));
        assert!("steam".parse::<Commodity>().is_err());
    }
}
