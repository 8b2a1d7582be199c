//! Counters of one reading as they are compared with those of the next.

use metertap_decode::ert::Message;
use metertap_decode::quantity::Quantity;
use metertap_decode::report::{Fields, Value};
use metertap_decode::unit::Unit;

/// Units of energy and volume.
const CUMULATIVE_UNITS: [Unit; 5] = [Unit::KWh, Unit::MWh, Unit::GJ, Unit::Kvarh, Unit::CubicMeter];
/// Parts of the names of fields that are no cumulative registers despite such a unit: billing periods, averages,
/// extremes, net values and quadrants, flows.
const NOT_CUMULATIVE: [&str; 14] = [
    "_storage_",
    "_avg",
    "_max",
    "_min",
    "net",
    "balance",
    "_day",
    "_month",
    "_year",
    "q1",
    "q2",
    "q3",
    "q4",
    "flow",
];

/// Counters and type in one reading of a meter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CounterSample {
    /// Type of a radio meter; wired meters have none.
    pub meter_type: Option<u8>,
    /// Counters by field name.
    pub counters: Vec<(String, f64)>,
    /// Net registers (import minus export), which may decrease.
    pub may_fall: bool,
}

impl CounterSample {
    /// Takes the main counter `counts` and the type of a radio message.
    pub fn from_message(message: &Message, counts: i64, may_fall: bool) -> Self {
        CounterSample {
            meter_type: message.constant_type(),
            may_fall,
            ..Self::from_counts(0, counts)
        }
    }

    /// Builds the sample of a meter with one counter.
    pub(super) fn from_counts(meter_type: u8, counts: i64) -> Self {
        CounterSample {
            meter_type: Some(meter_type),
            counters: vec![(String::new(), counts as f64)],
            may_fall: false,
        }
    }

    /// Takes the cumulative registers of a wired meter.
    pub fn from_fields(fields: &Fields) -> Self {
        CounterSample {
            meter_type: None,
            counters: cumulative_fields(fields)
                .map(|(name, quantity)| (name.to_owned(), quantity.to_f64()))
                .collect(),
            may_fall: false,
        }
    }
}

/// Returns the cumulative registers, which count energy or volume since the meter was made and never fall.
pub fn cumulative_fields(fields: &Fields) -> impl Iterator<Item = (&str, &Quantity)> {
    fields.0.iter().filter_map(|(name, value)| match value {
        Value::Quantity(quantity) if is_cumulative(name, &quantity.unit) => Some((&**name, quantity)),
        _ => None,
    })
}

/// Returns true for a register that counts energy or volume since the meter was made and never falls.
pub fn is_cumulative(name: &str, unit: &Unit) -> bool {
    CUMULATIVE_UNITS.contains(unit) && !NOT_CUMULATIVE.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cumulative_fields_are_energy_and_volume_since_production() {
        for (name, unit, expected) in [
            ("energy_import_t1", "kWh", true),
            ("volume", "m3", true),
            ("power_import", "kW", false),
            ("volume_flow", "m3", false),
            ("energy_net", "kWh", false),
            ("energy_storage_1", "kWh", false),
            ("energy_import_day", "kWh", false),
        ] {
            assert_eq!(is_cumulative(name, &Unit::from(unit)), expected, "{name}");
        }
    }
}
