//! Counters of a reading for display and history: scaled, with units, tariffs summed.

use crate::meter::counter_sample::cumulative_fields;
use crate::meter::event::{Origin, ReadingEvent};
use std::collections::BTreeMap;

/// Suffixes of the fields of one counter's tariffs.
const TARIFFS: [&str; 4] = ["_t1", "_t2", "_t3", "_t4"];
/// Suffix of the field of their sum.
const TOTAL: &str = "_total";
/// Field that comes first.
const PRIMARY: &str = "energy_import_total";

/// Identity of a counter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CounterKey {
    /// Meter id.
    pub meter: String,
    /// Message type.
    pub kind: String,
    /// Name of the field.
    pub field: String,
}

impl CounterKey {
    /// Names the counter `field` of a meter's messages of type `kind`.
    pub fn new(meter: impl Into<String>, kind: impl Into<String>, field: impl Into<String>) -> Self {
        CounterKey {
            meter: meter.into(),
            kind: kind.into(),
            field: field.into(),
        }
    }
}

/// Value of a counter in one reading.
#[derive(Clone, Debug, PartialEq)]
pub struct CounterValue {
    /// Identity of the counter.
    pub key: CounterKey,
    /// Value, scaled, in `unit`.
    pub value: f64,
    /// Unit; empty if unknown.
    pub unit: String,
    /// Value at which the counter rolls over to 0, if known.
    pub wraps_at: Option<f64>,
    /// Net register (import minus export); may decrease.
    pub may_fall: bool,
}

/// Returns all counters of a reading, the primary one first; none for an interval.
pub fn counter_values(event: &ReadingEvent) -> Vec<CounterValue> {
    let counter = |field: &str, value, unit: &str| CounterValue {
        key: CounterKey::new(&event.id, event.kind, field),
        value,
        unit: unit.replace("m3", "m³"),
        wraps_at: None,
        may_fall: false,
    };
    match &event.origin {
        Origin::Radio(reading) => {
            let meter = event.meter_or_default();
            let registers = &event.registers;
            let total = meter.scaled_total(registers.main);
            let wraps_at = meter.digits.map(|digits| {
                let range = meter.scaled_amount(10i64.saturating_pow(digits.into()));
                range.to_f64().abs()
            });
            let main = CounterValue {
                wraps_at,
                may_fall: meter.may_fall(reading.message.kind()),
                ..counter(meter.counter_name(), total.to_f64(), total.unit.as_str())
            };
            let parts = registers.parts().map(|(name, counts)| {
                let amount = meter.scaled_amount(counts);
                counter(name, amount.to_f64(), amount.unit.as_str())
            });
            std::iter::once(main).chain(parts).collect()
        }
        Origin::Wire(reading) => {
            let fields = &reading.report.reading;
            let mut sums: BTreeMap<String, (f64, &str)> = BTreeMap::new();
            for (name, quantity) in cumulative_fields(fields) {
                let counter = TARIFFS.iter().find_map(|tariff| name.strip_suffix(tariff));
                let total = counter.map(|counter| format!("{counter}{TOTAL}"));
                // If the meter sends the sum itself, adding its tariffs would count them twice.
                if total.as_deref().is_some_and(|total| fields.get(total).is_some()) {
                    continue;
                }
                let name = total.unwrap_or_else(|| name.to_owned());
                let sum = sums.entry(name).or_insert((0.0, quantity.unit.as_str()));
                sum.0 += quantity.to_f64();
            }
            let mut counters: Vec<CounterValue> = sums
                .into_iter()
                .filter(|(_, (value, _))| value.is_finite())
                .map(|(name, (value, unit))| counter(&name, value, unit))
                .collect();
            counters.sort_by_key(|counter| {
                let field = &counter.key.field;
                (field != PRIMARY, field.contains("reactive"))
            });
            counters
        }
        Origin::Interval(_) => Vec::new(),
    }
}

/// Returns the registers of energy in a reading whose tariffs have prices of their own.
pub fn register_values(event: &ReadingEvent) -> Vec<CounterValue> {
    let Origin::Wire(reading) = &event.origin else {
        return Vec::new();
    };
    let is_register = |name: &str| {
        TARIFFS
            .iter()
            .filter_map(|tariff| name.strip_suffix(tariff))
            .any(|counter| matches!(counter, "energy_import" | "energy_export"))
    };
    cumulative_fields(&reading.report.reading)
        .filter(|(name, quantity)| is_register(name) && quantity.to_f64().is_finite())
        .map(|(name, quantity)| CounterValue {
            key: CounterKey::new(&event.id, event.kind, name),
            value: quantity.to_f64(),
            unit: quantity.unit.as_str().to_owned(),
            wraps_at: None,
            may_fall: false,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::WireReading;
    use jiff::Timestamp;
    use metertap_decode::p1::{Telegram, readings};
    use metertap_decode::time::Zone;

    #[test]
    fn given_tariffs_then_they_are_one_counter_and_import_comes_first() {
        let text = "/MTP5x\r\n\r\n0-0:96.1.1(4D31)\r\n1-0:2.8.1(000007.5*kWh)\r\n1-0:1.8.1(000001.5*kWh)\r\n1-0:1.8.2(000002.25*kWh)\r\n1-0:1.7.0(00.5*kW)\r\n!";
        let report = readings(
            &Telegram::parse(text).unwrap(),
            &"Europe/Amsterdam".parse::<Zone>().unwrap(),
        )
        .remove(0);
        let reading = WireReading::new("hall".into(), report, Timestamp::UNIX_EPOCH);
        let event = ReadingEvent::from_wire(Box::new(reading), None);
        let registers: Vec<_> = register_values(&event)
            .into_iter()
            .map(|counter| (counter.key.field, counter.value))
            .collect();
        assert_eq!(
            registers,
            [
                ("energy_export_t1".to_owned(), 7.5),
                ("energy_import_t1".to_owned(), 1.5),
                ("energy_import_t2".to_owned(), 2.25)
            ]
        );
        let counters = counter_values(&event);
        let shown: Vec<(&str, f64, &str)> = counters
            .iter()
            .map(|counter| (counter.key.field.as_str(), counter.value, counter.unit.as_str()))
            .collect();
        assert_eq!(
            shown,
            [
                ("energy_import_total", 3.75, "kWh"),
                ("energy_export_total", 7.5, "kWh")
            ]
        );
    }
}
