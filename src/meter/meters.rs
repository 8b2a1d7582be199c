//! What the user has said of the meters of this home.

use crate::meter::plausibility::Limits;
use crate::meter::throttle::Rate;
use metertap_decode::ert::{Commodity, Kind, Message};
use metertap_decode::quantity::{Decimal, Quantity, scaled};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// What the user said of a meter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Meter {
    /// Types of its readings that are wanted, as in topics; empty: all.
    pub protocols: Vec<String>,
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
    /// Digits of its counter, which begins again at 0 behind the last.
    pub digits: Option<u8>,
    /// How much it can count in an hour, at most.
    pub max_rate: Option<f64>,
    /// How often its readings are published; nothing: as often as those of the others.
    pub rate: Option<Rate>,
    /// Without a word for so long it is away.
    pub expire: Option<Duration>,
    /// Whether its IDM intervals are published one by one.
    pub intervals: bool,
    /// What it is to Home Assistant, where that is not clear.
    pub device_class: Option<String>,
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
    const ONE: Factor = Factor {
        digits: 1,
        exponent: 0,
    };
    const NOTHING: Factor = Factor {
        digits: 0,
        exponent: 0,
    };

    /// As a floating-point number, for comparisons.
    fn to_f64(self) -> f64 {
        self.digits as f64 * 10f64.powi(self.exponent.into())
    }

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
    /// One of which nothing was said.
    pub fn unknown() -> &'static Self {
        static UNKNOWN: LazyLock<Meter> = LazyLock::new(Meter::default);
        &UNKNOWN
    }

    /// What its counter is called: with a unit it is a total, without one only a count.
    pub fn counter_name(&self) -> &'static str {
        if self.unit.is_some() { "total" } else { "count" }
    }

    /// The counter of a message, scaled: the digits of the product, and none more.
    pub fn total(&self, message: &Message) -> Quantity {
        self.total_of(message.consumption())
    }

    /// The same of a counter.
    pub fn total_of(&self, counts: i64) -> Quantity {
        let (scale, offset) = (
            self.scale.unwrap_or(Factor::ONE),
            self.offset.unwrap_or(Factor::NOTHING),
        );
        self.quantity(counts, scale, offset)
    }

    fn quantity(&self, counts: i64, scale: Factor, offset: Factor) -> Quantity {
        let exponent = scale.exponent.min(offset.exponent);
        let sum = i128::from(counts) * scale.in_units_of(exponent) + offset.in_units_of(exponent);
        Quantity {
            value: scaled(sum, exponent.into()).unwrap_or(Decimal::MAX),
            unit: self.unit.as_deref().unwrap_or_default().into(),
        }
    }

    /// Whether readings of this type are wanted.
    pub fn wants(&self, kind: &str) -> bool {
        self.protocols.is_empty() || self.protocols.iter().any(|protocol| protocol == kind)
    }

    /// What its frames are, where the air leaves it open (IDM or NetIDM, R900 or R900BCD).
    pub fn kind_of(&self, kind: Kind) -> Kind {
        let mut wanted = self.protocols.iter().filter_map(|name| name.parse::<Kind>().ok());
        match self.wants(kind.topic_name()) {
            true => kind,
            false => wanted
                .find(|wanted| wanted.protocol() == kind.protocol())
                .unwrap_or(kind),
        }
    }

    /// A number of counts, scaled, without the offset: what was used.
    pub fn used(&self, counts: i64) -> Quantity {
        self.quantity(counts, self.scale.unwrap_or(Factor::ONE), Factor::NOTHING)
    }

    /// What is plausible of its counts.
    pub fn count_limits(&self) -> Limits {
        let scale = self.scale.unwrap_or(Factor::ONE).to_f64().abs();
        Limits {
            per_hour: self.max_rate.map(|rate| rate / scale),
            wraps_at: self.digits.map(|digits| 10f64.powi(digits.into())),
            is_counts: true,
        }
    }

    /// What is plausible of values that have their units.
    pub fn limits(&self) -> Limits {
        Limits {
            per_hour: self.max_rate,
            wraps_at: self.digits.map(|digits| 10f64.powi(digits.into())),
            is_counts: false,
        }
    }

    /// What it measures: what the user says, else what the message tells.
    pub fn commodity(&self, message: &Message) -> Commodity {
        self.commodity.unwrap_or_else(|| message.commodity())
    }
}

/// All of them, by id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Meters(HashMap<String, Arc<Meter>>);

impl Meters {
    /// With these meters.
    pub fn new(meters: HashMap<String, Meter>) -> Self {
        Meters(
            meters
                .into_iter()
                .map(|(id, meter)| (id, Arc::new(meter)))
                .collect(),
        )
    }

    /// The meter with this id.
    pub fn get(&self, id: &str) -> Option<&Arc<Meter>> {
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

    /// An SCM with 974582 counts.
    fn message() -> Message {
        Message::parse(
            Kind::Scm,
            &data_encoding::HEXUPPER
                .decode(b"F953005E0EDEF6BC614E1D50")
                .unwrap(),
        )
        .unwrap()
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
            let json = meter.total(&message()).value.to_string();
            assert_eq!(json, value, "{scale:?} {offset:?}");
        }
        assert_eq!(Factor::new(f64::NAN), None);
        assert_eq!(Factor::new(1e-20), None);
    }
}
