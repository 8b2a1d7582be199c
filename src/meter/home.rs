//! What the user has said of the meters of this home.

use crate::decode::ert::{Commodity, Kind, Message};
use crate::decode::quantity::{Decimal, Quantity};
use std::collections::HashMap;

/// What the user said of a meter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Meter {
    /// The kind that its frames are, where the air leaves it open (IDM or NetIDM, R900 or R900BCD).
    pub kind: Option<Kind>,
    /// What people call it.
    pub name: Option<String>,
    /// What it measures, where its type says nothing or something else.
    pub commodity: Option<Commodity>,
    /// Of its counter, after scaling.
    pub unit: Option<String>,
    /// One count is so much.
    pub scale: Option<Factor>,
    /// Added after scaling, for a meter that was exchanged.
    pub offset: Option<Factor>,
    /// Where it is, for Home Assistant.
    pub area: Option<String>,
}

/// A decimal number, exactly as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Factor {
    digits: i64,
    exponent: i8,
}

impl Factor {
    /// The shortest decimal that is this number; nothing where that has too many digits, or is none.
    pub fn new(number: f64) -> Option<Self> {
        let text = format!("{number}");
        let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
        let digits = format!("{whole}{part}").parse().ok()?;
        let exponent = i8::try_from(part.len()).ok().filter(|places| *places <= 12)?;
        Some(Factor {
            digits,
            exponent: -exponent,
        })
    }

    /// In units of ten to the `exponent`, which is at most its own.
    fn in_units_of(self, exponent: i8) -> i128 {
        i128::from(self.digits) * 10i128.pow((self.exponent - exponent).unsigned_abs().into())
    }
}

impl Meter {
    /// The counter of a message, scaled: the digits of the product, and none more.
    pub fn total(&self, message: &Message) -> Quantity {
        const ONE: Factor = Factor {
            digits: 1,
            exponent: 0,
        };
        const NOTHING: Factor = Factor {
            digits: 0,
            exponent: 0,
        };
        let (scale, offset) = (self.scale.unwrap_or(ONE), self.offset.unwrap_or(NOTHING));
        let exponent = scale.exponent.min(offset.exponent);
        let counts = i128::from(message.consumption());
        let sum = counts * scale.in_units_of(exponent) + offset.in_units_of(exponent);
        Quantity {
            value: Decimal::scaled(sum, exponent),
            unit: self.unit.clone().unwrap_or_default().into(),
        }
    }

    /// What it measures: what the user says, else what the message tells.
    pub fn commodity(&self, message: &Message) -> Commodity {
        self.commodity.unwrap_or_else(|| message.commodity())
    }
}

/// All of them, by id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Home(HashMap<String, Meter>);

impl Home {
    /// With these meters.
    pub fn new(meters: HashMap<String, Meter>) -> Self {
        Home(meters)
    }

    /// The meter with this id.
    pub fn get(&self, id: &str) -> Option<&Meter> {
        self.0.get(id)
    }

    /// Whether nothing was said of any meter.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Of how many something was said.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has this one.
    pub fn contains(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::hex::octets;

    /// A documented SCM (PROTOCOLS-rf.md 11): 974582 counts.
    fn message() -> Message {
        Message::parse(Kind::Scm, &octets("F953005E0EDEF6BC614E1D50").unwrap()).unwrap()
    }

    #[test]
    fn counts_are_scaled_without_rounding() {
        for (scale, offset, value) in [
            (None, None, "974582"),
            (Some(0.1), None, "97458.2"),
            (Some(0.01), Some(100.5), "9846.32"),
            (Some(2.0), Some(-0.5), "1949163.5"),
            (Some(10.0), None, "9745820"),
        ] {
            let meter = Meter {
                scale: scale.and_then(Factor::new),
                offset: offset.and_then(Factor::new),
                ..Meter::default()
            };
            let json = serde_json::to_string(&meter.total(&message()).value).unwrap();
            assert_eq!(json, value, "{scale:?} {offset:?}");
        }
        assert_eq!(Factor::new(f64::NAN), None);
        assert_eq!(Factor::new(1e-20), None);
    }
}
