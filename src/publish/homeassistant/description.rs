//! Description of a meter's device: its name, model and maker as people know them.

use crate::meter::event::{Origin, ReadingEvent};
use crate::publish::homeassistant::entities::text_field;
use crate::publish::message::topic_id;
use metertap_decode::ert::{Commodity, Message};
use metertap_decode::report::ReadingType;
use serde_json::{Value, json};

/// Returns the value of the key `device` of an announcement, without the device that it is connected by. The name is that of a
/// meter without a configured one.
pub fn description(event: &ReadingEvent) -> Value {
    let id = &event.id;
    let (sort, model, manufacturer) = match &event.origin {
        Origin::Wire(reading) => {
            let medium = text_field(reading, "medium");
            let sort = sort_of_wire(reading.report.reading_type, medium);
            let own = text_field(reading, "meter_type").filter(|text| !text.is_empty());
            let model = own.unwrap_or_else(|| model_of_wire(reading.report.reading_type));
            (sort, model.to_owned(), text_field(reading, "manufacturer"))
        }
        Origin::Radio(reading) => {
            let message = &reading.message;
            let sort = match event.meter_or_default().commodity(message) {
                Commodity::Electric => "Electricity meter",
                Commodity::Gas => "Gas meter",
                Commodity::Water => "Water meter",
                Commodity::Unknown => "Meter",
            };
            let (model, maker) = match message {
                Message::R900(_) | Message::R900Bcd(_) => ("R900".to_owned(), "Neptune"),
                Message::Orion(_) => ("Orion".to_owned(), "Badger"),
                Message::OrionEndpoint(_) => ("Orion endpoint".to_owned(), "Badger"),
                Message::HotRod(_) => ("Hot Rod".to_owned(), "Mueller"),
                Message::Dialog3g(_) => ("Dialog 3G".to_owned(), "Arad"),
                _ => (format!("ERT, type {}", message.meter_type()), "Itron"),
            };
            (sort, model, Some(maker))
        }
        Origin::Interval(_) => ("Meter", String::new(), None),
    };
    let mut description = json!({
        "identifiers": [format!("metertap_{}", topic_id(id))],
        "name": format!("{sort} {id}"),
        "model": model,
        "serial_number": id,
    });
    if let Some(manufacturer) = manufacturer {
        description["manufacturer"] = json!(manufacturer);
    }
    description
}

fn sort_of_wire(reading_type: ReadingType, medium: Option<&str>) -> &'static str {
    match (reading_type, medium) {
        (ReadingType::Gas, _) | (_, Some("gas")) => "Gas meter",
        (ReadingType::Heat | ReadingType::Kmp, _) => "Heat meter",
        (_, Some(medium)) if medium.contains("heat") => "Heat meter",
        (ReadingType::Cooling, _) => "Cooling meter",
        (_, Some(medium)) if medium.contains("cooling") => "Cooling meter",
        (ReadingType::WarmWater, _) | (_, Some("warm_water" | "hot_water")) => "Warm water meter",
        (ReadingType::Water, _) => "Water meter",
        (_, Some(medium)) if medium.contains("water") => "Water meter",
        (_, Some("electricity")) => "Electricity meter",
        (
            ReadingType::P1
            | ReadingType::Electricity
            | ReadingType::Dlms
            | ReadingType::Sml
            | ReadingType::Tic,
            _,
        ) => "Electricity meter",
        _ => "Meter",
    }
}

fn model_of_wire(reading_type: ReadingType) -> &'static str {
    match reading_type {
        ReadingType::P1 => "Smart meter (P1)",
        ReadingType::Dlms => "Smart meter (DLMS)",
        ReadingType::Sml => "Smart meter (SML)",
        ReadingType::Tic => "Linky (TIC)",
        ReadingType::Mbus => "M-Bus meter",
        ReadingType::Kmp => "Kamstrup (KMP)",
        ReadingType::Iec => "Meter (IEC 62056-21)",
        ReadingType::Electricity
        | ReadingType::Gas
        | ReadingType::Heat
        | ReadingType::Cooling
        | ReadingType::Water
        | ReadingType::WarmWater
        | ReadingType::Other => "Meter behind a P1 meter",
        ReadingType::Wmbus => "Wireless M-Bus meter",
    }
}
