//! The counters of a reading, as people look at them: scaled, with units, tariffs summed.

use crate::meter::consumption::Count;
use crate::meter::event::{Origin, ReadingEvent};
use crate::meter::plausibility::counters;
use metertap_decode::ert::Kind;
use std::collections::BTreeMap;

/// Ends of names of one counter's tariffs.
const TARIFFS: [&str; 4] = ["_t1", "_t2", "_t3", "_t4"];
/// End of the name of their sum.
const TOTAL: &str = "_total";
/// What people mean first.
const FIRST: &str = "energy_import_total";

/// All of a reading, the one that people mean first; none of an interval.
pub fn of(told: &ReadingEvent) -> Vec<Count> {
    let count = |name: &str, value, unit: &str| Count {
        key: (told.id.clone(), told.kind.into(), name.into()),
        value,
        unit: unit.replace("m3", "m³"),
        wraps_at: None,
        may_fall: false,
    };
    match &told.what {
        Origin::Radio(reading) => {
            let meter = told.said();
            let total = meter.total(&reading.message);
            let wraps_at = meter.digits.map(|digits| {
                let all = meter.used(10i64.saturating_pow(digits.into()));
                all.to_f64().abs()
            });
            vec![Count {
                wraps_at,
                may_fall: reading.message.kind() == Kind::NetIdm,
                ..count(meter.counter_name(), total.to_f64(), total.unit.as_str())
            }]
        }
        Origin::Wire(reading) => {
            let fields = &reading.report.reading;
            let mut sums: BTreeMap<String, (f64, &str)> = BTreeMap::new();
            for (name, quantity) in counters(fields) {
                let whole = TARIFFS.iter().find_map(|tariff| name.strip_suffix(tariff));
                let whole = whole.map(|whole| format!("{whole}{TOTAL}"));
                // Where the meter sums by itself, its parts are left out.
                if whole.as_deref().is_some_and(|whole| fields.get(whole).is_some()) {
                    continue;
                }
                let name = whole.unwrap_or_else(|| name.to_owned());
                let sum = sums.entry(name).or_insert((0.0, quantity.unit.as_str()));
                sum.0 += quantity.to_f64();
            }
            let mut counts: Vec<Count> = sums
                .into_iter()
                .filter(|(_, (value, _))| value.is_finite())
                .map(|(name, (value, unit))| count(&name, value, unit))
                .collect();
            counts.sort_by_key(|count| (count.key.2 != FIRST, count.key.2.contains("reactive")));
            counts
        }
        Origin::Interval(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::WireReading;
    use metertap_decode::p1::{Telegram, readings};
    use metertap_decode::time::Zone;

    #[test]
    fn given_tariffs_then_they_are_one_counter_and_what_is_imported_comes_first() {
        let text = "/MTP5x\r\n\r\n0-0:96.1.1(4D31)\r\n1-0:2.8.1(000007.5*kWh)\r\n1-0:1.8.1(000001.5*kWh)\r\n1-0:1.8.2(000002.25*kWh)\r\n1-0:1.7.0(00.5*kW)\r\n!";
        let report = readings(
            &Telegram::parse(text).unwrap(),
            &"Europe/Amsterdam".parse::<Zone>().unwrap(),
        )
        .remove(0);
        let told = ReadingEvent::wire(Box::new(WireReading::now("hall".into(), report)), None);
        let counts = of(&told);
        let said: Vec<(&str, f64, &str)> = counts
            .iter()
            .map(|count| (count.key.2.as_str(), count.value, count.unit.as_str()))
            .collect();
        assert_eq!(
            said,
            [
                ("energy_import_total", 3.75, "kWh"),
                ("energy_export_total", 7.5, "kWh")
            ]
        );
    }
}
