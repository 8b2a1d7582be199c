//! What a reading says, as properties of Homie.

use crate::meter::event::{Origin, ReadingEvent};
use metertap_decode::quantity::Quantity;
use metertap_decode::report::ReadingType as Type;

/// A value and what is to be known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Property {
    /// Of the device.
    pub node: &'static str,
    /// Of the node.
    pub id: &'static str,
    /// For people.
    pub name: &'static str,
    /// `integer` or `float`.
    pub datatype: &'static str,
    /// Empty where there is none.
    pub unit: String,
    /// As Homie writes it.
    pub value: String,
}

/// What a device is made of: node, property, its name, datatype and unit, our field, and how many of its units are
/// one of ours.
struct Row {
    node: &'static str,
    property: &'static str,
    name: &'static str,
    datatype: &'static str,
    unit: &'static str,
    field: &'static str,
    factor: f64,
}

const fn row(
    (node, property): (&'static str, &'static str),
    name: &'static str,
    (datatype, unit): (&'static str, &'static str),
    (field, factor): (&'static str, f64),
) -> Row {
    Row {
        node,
        property,
        name,
        datatype,
        unit,
        field,
        factor,
    }
}

const WH: (&str, &str) = ("integer", "Wh");
const WATT: (&str, &str) = ("integer", "W");

const ELECTRICITY: [Row; 7] = [
    row(
        ("energy", "imported-total"),
        "Imported total",
        WH,
        ("energy_import_total", 1000.0),
    ),
    row(
        ("energy", "used-tariff-1"),
        "Used tariff 1",
        WH,
        ("energy_import_t1", 1000.0),
    ),
    row(
        ("energy", "used-tariff-2"),
        "Used tariff 2",
        WH,
        ("energy_import_t2", 1000.0),
    ),
    row(
        ("energy", "delivered-tariff-1"),
        "Delivered tariff 1",
        WH,
        ("energy_export_t1", 1000.0),
    ),
    row(
        ("energy", "delivered-tariff-2"),
        "Delivered tariff 2",
        WH,
        ("energy_export_t2", 1000.0),
    ),
    row(
        ("power", "current-usage"),
        "Current usage",
        WATT,
        ("power_import", 1000.0),
    ),
    row(
        ("power", "current-delivery"),
        "Current delivery",
        WATT,
        ("power_export", 1000.0),
    ),
];

const HEAT: [Row; 8] = [
    row(
        ("energy", "imported-total"),
        "Imported total",
        ("float", ""),
        ("heat_energy", 1.0),
    ),
    row(
        ("power", "current-usage"),
        "Current usage",
        ("float", ""),
        ("power", 1.0),
    ),
    row(
        ("temperatures", "temp1"),
        "Flow temperature",
        ("float", "°C"),
        ("flow_temperature", 1.0),
    ),
    row(
        ("temperatures", "temp2"),
        "Return temperature",
        ("float", "°C"),
        ("return_temperature", 1.0),
    ),
    row(
        ("temperatures", "temp-diff"),
        "Difference",
        ("float", "K"),
        ("temperature_difference", 1.0),
    ),
    row(("flow", "flow"), "Flow", ("float", ""), ("flow", 1.0)),
    row(("flow", "volume"), "Volume", ("float", ""), ("volume", 1.0)),
    row(
        ("ops", "hour-counter"),
        "Hour counter",
        ("float", "h"),
        ("operating_hours", 1.0),
    ),
];

/// What a reading says, as properties.
pub fn properties(told: &ReadingEvent) -> Vec<Property> {
    match &told.origin {
        Origin::Radio(reading) => {
            vec![total(&told.meter_or_default().total(&reading.message))]
        }
        Origin::Wire(reading) => {
            let fields = &reading.report.reading;
            let rows: &[Row] = match reading.report.sort {
                Type::P1 | Type::Dlms => &ELECTRICITY,
                Type::Kmp => &HEAT,
                _ => {
                    let first = fields.0.iter().find_map(|(_, field)| field.quantity());
                    return first.map(total).into_iter().collect();
                }
            };
            let of_row = |row: &Row| Some(property(row, fields.get(row.field)?.quantity()?));
            rows.iter().filter_map(of_row).collect()
        }
        Origin::Interval(_) => Vec::new(),
    }
}

/// Of a meter with one counter.
fn total(quantity: &Quantity) -> Property {
    Property {
        node: "meter",
        id: "total",
        name: "Total",
        datatype: "float",
        unit: quantity.unit.replace("m3", "m³"),
        value: written(quantity.value.to_f64()),
    }
}

fn property(row: &Row, quantity: &Quantity) -> Property {
    let value = quantity.value.to_f64() * row.factor;
    let is_whole = row.datatype == "integer";
    Property {
        node: row.node,
        id: row.property,
        name: row.name,
        datatype: row.datatype,
        // The meter knows it better than the table, where that says nothing.
        unit: match row.unit {
            "" => quantity.unit.replace("m3", "m³"),
            unit => unit.into(),
        },
        value: if is_whole {
            format!("{:.0}", value.round())
        } else {
            written(value)
        },
    }
}

/// As Homie writes a float: digits and a point.
fn written(value: f64) -> String {
    format!("{value}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::WireReading;
    use jiff::Timestamp;
    use metertap_decode::report::{Fields, Report, Value as Field};

    #[test]
    fn a_heat_meter_has_the_nodes_of_the_asyncio_reader_and_the_units_that_it_tells() {
        let mut reading = Fields::default();
        for (name, value, unit) in [
            ("heat_energy", "57.318", "GJ"),
            ("power", "3.2", "kW"),
            ("flow_temperature", "68.12", "°C"),
            ("return_temperature", "41.02", "°C"),
            ("temperature_difference", "27.10", "K"),
            ("flow", "84", "l/h"),
            ("volume", "1422.61", "m3"),
            ("operating_hours", "20511", "h"),
            ("mass", "1", "t"),
        ] {
            let quantity = Quantity::parse(&format!("{value}*{unit}"), "").unwrap();
            reading.put(name, Field::Quantity(quantity));
        }
        let report = Report {
            time: None,
            id: "65432109".into(),
            sort: Type::Kmp,
            channel: None,
            reading,
            unknown: Fields::default(),
            message: None,
        };
        let told = ReadingEvent::from_wire(
            Box::new(WireReading::new("heat".into(), report, Timestamp::UNIX_EPOCH)),
            None,
        );
        let told: Vec<String> = properties(&told)
            .iter()
            .map(|one| {
                format!(
                    "{}/{}={} {} {}",
                    one.node, one.id, one.value, one.unit, one.datatype
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                "energy/imported-total=57.318 GJ float",
                "power/current-usage=3.2 kW float",
                "temperatures/temp1=68.12 °C float",
                "temperatures/temp2=41.02 °C float",
                "temperatures/temp-diff=27.1 K float",
                "flow/flow=84 l/h float",
                "flow/volume=1422.61 m³ float",
                "ops/hour-counter=20511 h float",
            ]
        );
    }
}
