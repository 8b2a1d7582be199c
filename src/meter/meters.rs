//! Configured meters of this home.

use crate::meter::Factor;
use crate::meter::plausibility::{Limits, Wrap};
use crate::meter::registers::{Registers, most_over_rollover};
use crate::meter::throttle::PublishRate;
use metertap_decode::ert::{Commodity, Kind, Message};
use metertap_decode::quantity::{Decimal, Quantity, scaled};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// Configuration of a meter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Meter {
    /// Accepted message types, as in topics; empty = all.
    pub protocols: Vec<String>,
    /// Display name.
    pub name: Option<String>,
    /// Commodity, overriding that of the meter's type.
    pub commodity: Option<Commodity>,
    /// Unit of the scaled counter.
    pub unit: Option<String>,
    /// Value of one count in `unit`.
    pub scale: Option<Factor>,
    /// Addend after scaling, for a meter that was exchanged.
    pub offset: Option<Factor>,
    /// Decimal digits of the counter, which rolls over to 0 after the largest number they can show.
    pub digits: Option<u8>,
    /// The counter is a signed number and may fall, as that of net consumption.
    pub signed: bool,
    /// Largest plausible rise per hour, in `unit`.
    pub max_rate: Option<f64>,
    /// Publishing rate, overriding the general one.
    pub rate: Option<PublishRate>,
    /// Silence after which the meter is offline.
    pub expire: Option<Duration>,
    /// Its next message is expected from the last one, so that it is received even if it is very weak.
    pub is_expected: bool,
    /// Counter as last known, in counts.
    pub reading: Option<u32>,
    /// Publish IDM intervals one by one.
    pub intervals: bool,
    /// Home Assistant device class.
    pub device_class: Option<String>,
    /// Home Assistant area.
    pub area: Option<String>,
}

impl Meter {
    /// Defaults, for meters that are not configured.
    pub fn unconfigured() -> &'static Self {
        static DEFAULT: LazyLock<Meter> = LazyLock::new(Meter::default);
        &DEFAULT
    }

    /// Name of the counter in payloads: `total` with a unit, `count` without.
    pub fn counter_name(&self) -> &'static str {
        if self.unit.is_some() { "total" } else { "count" }
    }

    /// Counts of a message.
    pub fn registers(&self, message: &Message) -> Registers {
        Registers::new(message, self.signed)
    }

    /// Returns whether the counter in messages of type `kind` may fall: it is net consumption.
    pub fn may_fall(&self, kind: Kind) -> bool {
        self.signed || kind == Kind::NetIdm
    }

    /// Returns whether the counter in messages of type `kind` is continued beyond its width. One with `digits` starts
    /// again at 0, as its dial does.
    pub fn continues(&self, kind: Kind) -> bool {
        !self.may_fall(kind) && self.digits.is_none()
    }

    /// Counter value, scaled and offset without rounding: as many decimal places as scale and offset have.
    pub fn scaled_total(&self, counts: i64) -> Quantity {
        self.quantity(counts, self.offset.unwrap_or(Factor::ZERO))
    }

    /// Difference of two counter values, scaled; the offset does not apply.
    pub fn scaled_amount(&self, counts: i64) -> Quantity {
        self.quantity(counts, Factor::ZERO)
    }

    fn quantity(&self, counts: i64, offset: Factor) -> Quantity {
        let scale = self.scale.unwrap_or(Factor::ONE);
        let exponent = scale.exponent().min(offset.exponent());
        // Saturates for factors near 10^18, which no meter has; 28 digits are the most that a decimal holds.
        let product = i128::from(counts).saturating_mul(scale.in_units_of(exponent));
        let sum = product.saturating_add(offset.in_units_of(exponent));
        Quantity {
            value: scaled(sum, exponent).unwrap_or(Decimal::MAX),
            unit: self.unit.as_deref().unwrap_or_default().into(),
        }
    }

    /// Returns whether readings with this message type, as in topics, are accepted.
    pub fn accepts_type(&self, kind: &str) -> bool {
        self.protocols.is_empty() || self.protocols.iter().any(|protocol| protocol == kind)
    }

    /// Message type of the meter's frames, where a frame leaves it open (IDM or NetIDM, R900 or R900BCD): the
    /// configured one, else `kind`.
    pub fn resolve_kind(&self, kind: Kind) -> Kind {
        if self.accepts_type(kind.topic_name()) {
            return kind;
        }
        let mut configured = self.protocols.iter().filter_map(|name| name.parse::<Kind>().ok());
        configured
            .find(|configured| kind.protocol().is_some() && configured.protocol() == kind.protocol())
            .unwrap_or(kind)
    }

    /// Plausibility limits of the unscaled counter of a message.
    pub fn count_limits(&self, message: &Message) -> Limits {
        let scale = self.scale.unwrap_or(Factor::ONE).to_f64().abs();
        let range = message.counter_range();
        let of_width = Wrap {
            at: range as f64,
            most: most_over_rollover(range) as f64,
        };
        Limits {
            per_hour: self.max_rate.map(|rate| rate / scale),
            wraps_at: Some(self.digits.map_or(of_width, Wrap::of_digits)),
            is_counts: true,
        }
    }

    /// Plausibility limits of values with units.
    pub fn limits(&self) -> Limits {
        Limits {
            per_hour: self.max_rate,
            wraps_at: self.digits.map(Wrap::of_digits),
            is_counts: false,
        }
    }

    /// Configured commodity, else that of the message.
    pub fn commodity(&self, message: &Message) -> Commodity {
        self.commodity.unwrap_or_else(|| message.commodity())
    }
}

/// Configured meters by id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Meters(HashMap<String, Arc<Meter>>);

impl Meters {
    /// Wraps the meters for sharing.
    pub fn new(meters: HashMap<String, Meter>) -> Self {
        Meters(
            meters
                .into_iter()
                .map(|(id, meter)| (id, Arc::new(meter)))
                .collect(),
        )
    }

    /// Configuration of the meter with this id.
    pub fn get(&self, id: &str) -> Option<&Arc<Meter>> {
        self.0.get(id)
    }

    /// Meters by id.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Arc<Meter>)> {
        self.0.iter().map(|(id, meter)| (id.as_str(), meter))
    }

    /// Returns whether no meter is configured.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of configured meters.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether the meter with this id is configured.
    pub fn contains(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An SCM with a counter of 974582.
    fn message() -> Message {
        Message::parse(
            Kind::Scm,
            &data_encoding::HEXUPPER
                .decode("F953005E0EDEF6BC614E1D50".as_bytes())
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
            let counts = meter.registers(&message()).main;
            let json = meter.scaled_total(counts).value.to_string();
            assert_eq!(json, value, "{scale:?} {offset:?}");
        }
    }
}
