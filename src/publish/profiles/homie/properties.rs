//! Homie properties of a reading, with the nodes, units and data types of the asyncio reader.

use crate::meter::event::{Origin, ReadingEvent};
use metertap_decode::quantity::Quantity;
use metertap_decode::report::{Fields, ReadingType as Type, Value as Field};

/// Value of a property, and its attributes.
#[derive(Clone, Debug, PartialEq)]
pub struct Property {
    /// Node of the device.
    pub node: &'static str,
    /// Id within the node.
    pub id: &'static str,
    /// Name for people.
    pub name: &'static str,
    /// Data type: `integer` or `float`.
    pub datatype: &'static str,
    /// Unit; empty if there is none.
    pub unit: String,
    /// Payload.
    pub value: String,
}

/// Property that a field of a reading becomes.
struct Row {
    node: &'static str,
    property: &'static str,
    name: &'static str,
    datatype: &'static str,
    /// Unit; empty: the unit of the field.
    unit: &'static str,
    /// Field of the reading.
    field: &'static str,
    /// Factor from the unit of the field to `unit`.
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

const NET_POWER: Row = row(
    ("power", "current-usage"),
    "Current usage",
    WATT,
    ("power_net", 1000.0),
);

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

/// Returns the properties of a reading; none for an interval.
pub fn properties(event: &ReadingEvent) -> Vec<Property> {
    match &event.origin {
        Origin::Radio(_) => {
            vec![total(
                &event.meter_or_default().scaled_total(event.registers.main),
            )]
        }
        Origin::Wire(reading) => {
            let fields = &reading.report.reading;
            let rows: &[Row] = match reading.report.reading_type {
                Type::P1 | Type::Dlms | Type::Sml | Type::Tic => &ELECTRICITY,
                Type::Iec if is_heat(fields) => &HEAT,
                Type::Iec => &ELECTRICITY,
                Type::Kmp => &HEAT,
                _ => {
                    let first = fields.0.iter().find_map(|(_, field)| field.quantity());
                    return first.map(total).into_iter().collect();
                }
            };
            let property = |row: &Row| Some(from_row(row, fields.get(row.field)?.quantity()?));
            let mut properties: Vec<Property> = rows.iter().filter_map(property).collect();
            // German meters send the net power only, negative for delivery.
            if !properties
                .iter()
                .any(|property| property.id == NET_POWER.property)
            {
                properties.extend(property(&NET_POWER));
            }
            properties
        }
        Origin::Interval(_) => Vec::new(),
    }
}

/// Returns true for the reading of a heat meter.
fn is_heat(fields: &Fields) -> bool {
    matches!(fields.get("medium"), Some(Field::Text(medium)) if medium == "heat")
}

/// Property of a meter with one counter.
fn total(quantity: &Quantity) -> Property {
    Property {
        node: "meter",
        id: "total",
        name: "Total",
        datatype: "float",
        unit: quantity.unit.as_str().replace("m3", "m³"),
        value: float_text(quantity.to_f64()),
    }
}

fn from_row(row: &Row, quantity: &Quantity) -> Property {
    let value = quantity.to_f64() * row.factor;
    let is_whole = row.datatype == "integer";
    Property {
        node: row.node,
        id: row.property,
        name: row.name,
        datatype: row.datatype,
        unit: match row.unit {
            "" => quantity.unit.as_str().replace("m3", "m³"),
            unit => unit.into(),
        },
        value: if is_whole {
            format!("{:.0}", value.round())
        } else {
            float_text(value)
        },
    }
}

/// Payload of a float: digits and a point, no exponent.
fn float_text(value: f64) -> String {
    format!("{value}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::WireReading;
    use jiff::Timestamp;
    use metertap_decode::report::{Fields, Report, Value as Field};
    use metertap_decode::unit::Unit;

    #[test]
    fn given_a_heat_meter_then_it_has_the_nodes_of_the_asyncio_reader_and_its_own_units() {
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
            let quantity = Quantity::from_p1(&format!("{value}*{unit}"), &Unit::None).unwrap();
            reading.put(name, Field::Quantity(quantity));
        }
        let report = Report {
            reading,
            ..Report::new(Type::Kmp, "65432109")
        };
        let event = ReadingEvent::from_wire(
            Box::new(WireReading::new("heat".into(), report, Timestamp::UNIX_EPOCH)),
            None,
        );
        let lines: Vec<String> = properties(&event)
            .iter()
            .map(|one| {
                format!(
                    "{}/{}={} {} {}",
                    one.node, one.id, one.value, one.unit, one.datatype
                )
            })
            .collect();
        assert_eq!(
            lines,
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

    #[test]
    fn given_a_meter_that_sends_the_net_power_only_then_it_is_the_usage() {
        let mut reading = Fields::default();
        for (name, value) in [("energy_import_total", "2324*kWh"), ("power_net", "-1.520*kW")] {
            let quantity = Quantity::from_p1(value, &Unit::None).unwrap();
            reading.put(name, Field::Quantity(quantity));
        }
        let report = Report {
            reading,
            ..Report::new(Type::Sml, "1MTP0000000042")
        };
        let event = ReadingEvent::from_wire(
            Box::new(WireReading::new("hall".into(), report, Timestamp::UNIX_EPOCH)),
            None,
        );
        let ids: Vec<(&str, String)> = properties(&event)
            .iter()
            .map(|one| (one.id, one.value.clone()))
            .collect();
        assert_eq!(
            ids,
            [
                ("imported-total", "2324000".to_owned()),
                ("current-usage", "-1520".to_owned())
            ]
        );
    }
}
