//! Report of a notification: names, units and times of its values.

use super::clock::date_time;
use super::data::Data;
use super::energy_check::EnergyCheck;
use super::list_mapping::ListMapping;
use super::notification::Notification;
use super::objects::{Object, Objects};
use super::power_check::{PowerCheck, ScaleFinding};
use super::scales::{GivenScales, Scales, volts};
use super::unit::unit;
use crate::fields::{FieldKind, field};
use crate::obis::Obis;
use crate::quantity::{Quantity, from_float, scaled, shifted};
use crate::report::{Fields, MeterId, ReadingType, Report, Value};
use crate::time::{MeterTime, Zone};
use crate::unit::Unit;
use data_encoding::HEXUPPER;
use std::borrow::Cow;

/// Properties of a meter that its messages do not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReportOptions {
    /// Time zone of the meter.
    pub zone: Zone,
    /// Lists without codes that the user describes; they take precedence over the built-in ones.
    pub lists: Vec<ListMapping>,
    /// Powers of ten where the meter sends none; those that are not given are detected.
    pub scales: GivenScales,
    /// Names that the user gives to codes.
    pub names: Vec<(Obis, String)>,
}

/// Memory of the powers of ten that the messages of one meter fit.
#[derive(Clone, Debug, Default)]
pub struct ScaleMemory {
    current: PowerCheck,
    energy: EnergyCheck,
    /// Findings that were not taken yet, each at most once.
    findings: Vec<ScaleFinding>,
    /// Number of values of the last message, if it was a list that is not known.
    unknown_list: Option<usize>,
}

impl ScaleMemory {
    /// Returns what the user should know, once.
    pub fn take_findings(&mut self) -> Vec<ScaleFinding> {
        std::mem::take(&mut self.findings)
    }

    /// Returns the number of values of the last message, if it was a list without codes that is not known.
    pub fn unknown_list(&self) -> Option<usize> {
        self.unknown_list
    }
}

/// Returns the report of a notification. `system_title` is that of the frame in which it was encrypted.
///
/// The id is the equipment id or logical device name, else a number that stands alone, else the system title, else empty.
pub fn report(notification: &Notification, system_title: Option<[u8; 8]>, options: &ReportOptions) -> Report {
    report_with(notification, system_title, options, &mut ScaleMemory::default())
}

/// Returns the report of a notification, as [`report`] does, with the powers of ten that its meter's earlier messages fit.
pub fn report_with(
    notification: &Notification,
    system_title: Option<[u8; 8]>,
    options: &ReportOptions,
    memory: &mut ScaleMemory,
) -> Report {
    let objects = Objects::from_data(&notification.data);
    let mut scales =
        Scales::detect(list_version(&objects).as_deref(), highest_voltage(&objects)).with(&options.scales);
    if options.scales.current.is_none() {
        let (current, finding) = memory.current.current(&objects, &scales);
        scales.current = current;
        memory.findings.extend(finding);
    }
    let is_number = |object: &Object| is_number_code(object.obis) && !is_lesser_number(object.obis);
    let mut writer = Writer {
        options,
        scales,
        has_number: objects.coded.iter().any(is_number),
        reading: Fields::default(),
        unknown: Fields::default(),
    };
    for object in &objects.coded {
        writer.object(object);
    }
    memory.unknown_list = None;
    let lone_number = if objects.coded.is_empty() {
        // Positions of a list mean something only if every value of the message stands without a code. A message with
        // codes also has such values (list version, clock, number of the meter), but they are no list: types and number
        // of a few leftovers match a built-in list too easily.
        if !writer.list(&objects.bare) {
            memory.unknown_list = Some(objects.bare.len());
        }
        None
    } else {
        // Texts beside coded values are list version, clock and number; numbers are values.
        let is_number =
            |value: &&Data| matches!(value, Data::Integer(..) | Data::Float32(_) | Data::Float64(_));
        for (position, value) in objects
            .bare
            .iter()
            .enumerate()
            .filter(|(_, value)| is_number(value))
        {
            writer.keep(position.to_string(), value);
        }
        lone_number(&objects.bare)
    };
    let Writer { reading, unknown, .. } = writer;
    let time = match reading.get("timestamp") {
        Some(Value::Time(time)) => Some(*time),
        _ => date_time(&notification.date_time, &options.zone).filter(MeterTime::is_set),
    };
    if let (Some(at), None) = (time.and_then(|time| time.timestamp()), options.scales.energy) {
        let integer = |code: [u8; 3]| integer_of(&objects, code);
        let power = integer([1, 7, 0]).map(|watts| watts as f64 * 10f64.powi(scales.power.into()));
        let finding = memory.energy.take(at, power, integer([1, 8, 0]), scales.energy);
        memory.findings.extend(finding);
    }
    let named = ["equipment_id", "logical_device_name"]
        .iter()
        .find_map(|name| match reading.get(name) {
            Some(Value::Text(id)) if !id.is_empty() => Some(id.clone()),
            _ => None,
        });
    let id = named
        .or(lone_number)
        .or(system_title.map(printed_title))
        .map_or_else(MeterId::default, MeterId::from);
    Report {
        time,
        reading,
        unknown,
        ..Report::new(ReadingType::Dlms, id)
    }
}

/// Returns the number under groups C, D and E of a code, as sent; `None` if the meter sends its power of ten.
fn integer_of(objects: &Objects, code: [u8; 3]) -> Option<i128> {
    let is_wanted =
        |object: &&Object| object.obis.a == 1 && [object.obis.c, object.obis.d, object.obis.e] == code;
    match objects.coded.iter().find(is_wanted) {
        Some(Object {
            value: Data::Integer(number, _),
            scale: None,
            ..
        }) => Some(*number),
        _ => None,
    }
}

fn is_number_code(obis: Obis) -> bool {
    field(obis).is_some_and(|field| field.name == "equipment_id")
}

/// Returns true for a code under which only meters without a better one send their number.
fn is_lesser_number(obis: Obis) -> bool {
    matches!(
        (obis.a, obis.c, obis.d, obis.e),
        (0 | 1, 0, 0, 0) | (0, 96, 1, 255) | (1, 96, 1, 0)
    )
}

/// Returns the list version: the value of its code, or the first value without a code.
fn list_version(objects: &Objects) -> Option<String> {
    let coded = objects
        .coded
        .iter()
        .find(|object| (object.obis.a, object.obis.c, object.obis.d) == (1, 0, 2));
    let text = coded.map(|object| object.value).or(objects.bare.first().copied());
    text.and_then(readable_text)
}

/// Returns the highest voltage for which the meter sends no power of ten, as sent.
fn highest_voltage(objects: &Objects) -> i128 {
    let voltages = objects.coded.iter().filter(|object| {
        object.scale.is_none() && object.obis.a == 1 && object.obis.c % 20 == 12 && object.obis.d == 7
    });
    let raw = voltages.map(|object| match object.value {
        Data::Integer(number, _) => *number,
        _ => 0,
    });
    raw.max().unwrap_or_default()
}

/// Returns the number of a meter among values that stand without a code beside values that have one: the last text, if it
/// has a digit and is no list version (`KFM_001`).
fn lone_number(bare: &[&Data]) -> Option<String> {
    let text = bare.iter().rev().find_map(|value| readable_text(value))?;
    (text.bytes().any(|byte| byte.is_ascii_digit()) && !text.contains('_')).then_some(text)
}

/// Returns a system title as three letters and hexadecimal digits. It is printed on no meter, but never changes.
fn printed_title(title: [u8; 8]) -> String {
    let (maker, number) = title.split_at(3);
    format!("{}{}", String::from_utf8_lossy(maker), HEXUPPER.encode(number))
}

/// Returns octets as text if all of them are printable, without the zeros and spaces that pad them.
fn readable_text(data: &Data) -> Option<String> {
    let (Data::Octets(octets) | Data::Text(octets)) = data else {
        return None;
    };
    let end = octets
        .iter()
        .rposition(|octet| !matches!(octet, 0 | b' '))
        .map_or(0, |last| last + 1);
    let is_text = end > 0 && octets[..end].iter().all(|octet| (0x20..0x7F).contains(octet));
    is_text.then(|| String::from_utf8_lossy(&octets[..end]).trim_start().to_owned())
}

/// Fills a report.
struct Writer<'a> {
    options: &'a ReportOptions,
    scales: Scales,
    /// The message has the number of the meter under one of the usual codes.
    has_number: bool,
    reading: Fields,
    unknown: Fields,
}

impl Writer<'_> {
    /// Writes a value that has a code.
    fn object(&mut self, object: &Object) {
        let (exponent, unit) = match object.scale {
            Some((exponent, number)) => (exponent, unit(number)),
            None => {
                let (exponent, unit) = self.scales.scale(object.obis).unwrap_or((0, Unit::None));
                // Detected powers of ten are those of integer registers; a float is sent in full.
                let is_float = matches!(object.value, Data::Float32(_) | Data::Float64(_));
                (if is_float { 0 } else { exponent }, unit)
            }
        };
        self.value(object.obis, object.value, exponent, unit);
    }

    /// Writes the values of a message without codes: by their meaning if they are a known list, else by position. Returns
    /// false if the list is not known.
    fn list(&mut self, values: &[&Data]) -> bool {
        let list = ListMapping::find(values, &self.options.lists);
        for (position, value) in values.iter().enumerate() {
            let entry = list.map(|list| list.entries()[position]);
            match entry.and_then(|entry| entry.obis.map(|obis| (obis, entry.exponent))) {
                Some((obis, exponent)) => self.listed(obis, value, exponent),
                None => self.keep(position.to_string(), value),
            }
        }
        list.is_some()
    }

    /// Writes a value whose code and power of ten come from a list.
    fn listed(&mut self, obis: Obis, value: &Data, exponent: i8) {
        // Iskraemeco writes `ISK` in front of the number of the meter in some lists only.
        if let (Some("equipment_id"), Data::Octets(octets)) = (field(obis).map(|field| field.name), value) {
            if let Some(number) = octets.strip_prefix(b"ISK") {
                return self.value(obis, &Data::Octets(number.to_vec()), 0, Unit::None);
            }
        }
        let unit = self.scales.scale(obis).map_or(Unit::None, |(_, unit)| unit);
        let exponent = match value {
            // The same list with more digits.
            Data::Integer(number, _) if unit == Unit::V => exponent.min(volts(*number)),
            _ => exponent,
        };
        self.value(obis, value, exponent, unit);
    }

    fn value(&mut self, obis: Obis, data: &Data, exponent: i8, unit: Unit) {
        // Clocks have channels, too.
        let is_clock = (obis.a, obis.c, obis.d, obis.e) == (0, 1, 0, 0);
        let known = field(if is_clock { Obis { b: 0, ..obis } } else { obis });
        let given = self.options.names.iter().find(|(code, _)| *code == obis);
        let name = match (given, &known) {
            (Some((_, name)), _) => Some(Cow::Owned(name.clone())),
            (None, Some(field)) => Some(Cow::Borrowed(field.name)),
            (None, None) => None,
        };
        let kind = known.as_ref().map(|field| field.kind);
        let value = match (data, kind) {
            (Data::Octets(octets) | Data::DateTime(octets), Some(FieldKind::Time)) => {
                date_time(octets, &self.options.zone)
                    .filter(MeterTime::is_set)
                    .map(Value::Time)
            }
            (Data::Octets(octets) | Data::Text(octets), Some(FieldKind::Count)) => {
                count(octets).or_else(|| readable_text(data).map(Value::Text))
            }
            (Data::Integer(number, _), Some(FieldKind::HexText | FieldKind::Text)) => {
                Some(Value::Text(number.to_string()))
            }
            (Data::Integer(number, _), Some(FieldKind::Count)) => {
                u64::try_from(*number).ok().map(Value::Count)
            }
            (Data::Enum(number), _) => Some(Value::Count((*number).into())),
            (Data::Bool(is_true), _) => Some(Value::Count((*is_true).into())),
            (Data::Integer(number, _), _) => {
                // DLMS meters count in Wh and W, the fields of P1 in kWh and kW.
                let unit = match &known {
                    Some(field) if unit.is_none() => field.unit.thousandth(),
                    _ => unit,
                };
                Some(match scaled(*number, exponent.into()) {
                    Some(number) => Value::Quantity(Quantity::new(number, unit)),
                    None => Value::Text(format!("{number}e{exponent}")),
                })
            }
            (Data::Float32(number), _) if number.is_finite() => Some(float(*number, exponent, unit)),
            (Data::Float64(number), _) if number.is_finite() => Some(float(*number, exponent, unit)),
            _ => readable_text(data).map(Value::Text),
        };
        match (name, value) {
            // A meter may send several numbers; the first one under a usual code is its id.
            (Some(name), Some(value))
                if name == "equipment_id"
                    && (self.reading.get(&name).is_some() || self.has_number && is_lesser_number(obis)) =>
            {
                self.unknown.put(obis.to_string(), value);
            }
            (Some(name), Some(value)) => self.reading.put(name, value),
            // Null and the empty string mean that the meter has no value for this code.
            (Some(_), None) if matches!(data, Data::Null) || *data == Data::Octets(Vec::new()) => {}
            (None, Some(value)) => self.unknown.put(obis.to_string(), value),
            (_, None) => self.keep(obis.to_string(), data),
        }
    }

    /// Writes a value as sent under `unknown`.
    fn keep(&mut self, name: String, data: &Data) {
        let value = match data {
            Data::Integer(number, _) => match scaled(*number, 0) {
                Some(number) => Value::Quantity(Quantity::new(number, Unit::None)),
                None => Value::Text(number.to_string()),
            },
            Data::Octets(octets) | Data::Text(octets) | Data::Bits(octets) | Data::DateTime(octets) => {
                Value::Text(readable_text(data).unwrap_or_else(|| HEXUPPER.encode(octets)))
            }
            Data::Enum(number) => Value::Count((*number).into()),
            Data::Bool(is_true) => Value::Count((*is_true).into()),
            Data::Float32(number) => Value::Text(number.to_string()),
            Data::Float64(number) => Value::Text(number.to_string()),
            Data::Null | Data::Array(_) | Data::Structure(_) | Data::Descriptor(..) => return,
        };
        self.unknown.put(name, value);
    }
}

/// Returns a number that a meter sends as text (`0001`) or as octets (`00 01`).
fn count(octets: &[u8]) -> Option<Value> {
    let printed = std::str::from_utf8(octets)
        .ok()
        .and_then(|text| text.trim().parse().ok());
    let binary = || {
        octets
            .iter()
            .fold(0, |number, octet| number << 8 | u64::from(*octet))
    };
    let is_binary = (1..=8).contains(&octets.len()) && !octets.iter().all(u8::is_ascii_graphic);
    printed.or_else(|| is_binary.then(binary)).map(Value::Count)
}

/// Returns a floating-point number with the digits that it prints as, scaled.
fn float(number: impl std::fmt::Display + Copy, exponent: i8, unit: Unit) -> Value {
    match from_float(number).and_then(|number| shifted(number, exponent.into())) {
        Some(number) => Value::Quantity(Quantity::new(number, unit)),
        None => Value::Text(format!("{number}e{exponent}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXUPPER_PERMISSIVE;
    use proptest::prelude::*;

    /// The fields of a notification with this body, as JSON.
    fn fields(body: &str) -> String {
        let message = HEXUPPER_PERMISSIVE
            .decode(format!("0F0000000000{}", body.replace(' ', "")).as_bytes())
            .unwrap();
        let notification = Notification::parse(&message).unwrap();
        let report = report(&notification, None, &ReportOptions::default());
        serde_json::to_string(&(report.reading, report.unknown)).unwrap()
    }

    #[test]
    fn floats_have_the_digits_of_their_precision_and_are_scaled() {
        // Voltage 230.1 as a float of single precision, in V, without and with a scaler of 10^-1.
        let code = "0906 0100200700FF";
        for (body, printed) in [
            (
                format!("0203 {code} 174366199A 0202 0F00 1623"),
                r#"[{"voltage_l1":{"value":230.1,"unit":"V"}},{}]"#,
            ),
            (
                format!("0203 {code} 174366199A 0202 0FFF 1623"),
                r#"[{"voltage_l1":{"value":23.01,"unit":"V"}},{}]"#,
            ),
            (
                format!("0202 {code} 174366199A"),
                r#"[{"voltage_l1":{"value":230.1,"unit":"V"}},{}]"#,
            ),
            (format!("0202 {code} 177FC00000"), r#"[{},{"1-0:32.7.0":"NaN"}]"#),
        ] {
            assert_eq!(fields(&body), printed, "{body}");
        }
        // Power factor 0.5 of double precision, for which integers would be thousandths.
        let factor = fields("0202 0906 01000D0700FF 183FE0000000000000");
        assert_eq!(factor, r#"[{"power_factor":{"value":0.5,"unit":""}},{}]"#);
    }

    /// Integers of 32 and 16 bits, and octets, as they are encoded.
    fn u32s(numbers: &[u32]) -> String {
        numbers.iter().map(|number| format!("06{number:08X}")).collect()
    }

    fn u16s(numbers: &[u16]) -> String {
        numbers.iter().map(|number| format!("12{number:04X}")).collect()
    }

    fn octets(text: &str) -> String {
        let hex = HEXUPPER.encode(text.as_bytes());
        format!("09{:02X}{hex}", text.len())
    }

    const CLOCK: &str = "090C 07E9030B 06 0D1B2FFF 800000";

    #[test]
    fn the_lists_of_operators_have_names_units_and_powers_of_ten() {
        let energies = u32s(&[12_345_678, 234_567, 345_678, 456_789]);
        let croatia =
            octets("90000001") + "0904 0D1B2F00 0905 07E9030B06" + &u32s(&[3000, 2000, 1000, 600, 500, 100]);
        let phases = u32s(&[100, 200, 130, 0, 0, 0]) + &u16s(&[2311, 2322, 2333, 51, 92, 63]);
        let croatia_end = u32s(&[17_250]) + &"0101 12 24B8".repeat(3) + "0301";
        for (name, count, body, expected) in [
            (
                "Kärnten Netz",
                12,
                "0906 0006190900FF".to_owned()
                    + &octets("1121370000009")
                    + "0904 0D1B2F00 0905 07E9030B06"
                    + &energies
                    + &u32s(&[1500, 0])
                    + "0900 0900",
                vec![
                    r#""equipment_id":"1121370000009""#,
                    r#""energy_import_total":{"value":12345.678,"unit":"kWh"}"#,
                    r#""energy_export_total":{"value":234.567,"unit":"kWh"}"#,
                    r#""reactive_energy_export_total":{"value":456.789,"unit":"kvarh"}"#,
                    r#""power_import":{"value":1.500,"unit":"kW"}"#,
                ],
            ),
            (
                "Wiener Netze",
                9,
                CLOCK.to_owned() + &energies + &u32s(&[1500, 0, 20, 30]),
                vec![
                    r#""timestamp":"2025-03-11T13:27:47+01:00""#,
                    r#""energy_import_total":{"value":12345.678,"unit":"kWh"}"#,
                    r#""reactive_power_export":{"value":0.030,"unit":"kvar"}"#,
                ],
            ),
            (
                "Netz Burgenland",
                14,
                u16s(&[229, 231, 230, 781, 402, 63])
                    + &u32s(&[2800, 0, 40_091_000, 5000])
                    + &u16s(&[1, 2, 3])
                    + &octets("30000009"),
                vec![
                    r#""voltage_l1":{"value":229,"unit":"V"}"#,
                    r#""current_l1":{"value":7.81,"unit":"A"}"#,
                    r#""energy_export_total":{"value":5.000,"unit":"kWh"}"#,
                    r#""equipment_id":"30000009""#,
                    r#""10":{"value":1,"unit":""}"#,
                ],
            ),
            (
                "Netz Burgenland, tenths of a volt",
                11,
                u16s(&[2291, 2313, 2304, 781, 402, 63])
                    + &u32s(&[2800, 0, 40_091_000, 5000])
                    + &octets("30000009"),
                vec![r#""voltage_l2":{"value":231.3,"unit":"V"}"#],
            ),
            (
                "Croatia, long",
                33,
                croatia.clone() + &u32s(&[10, 20, 30, 40, 430, 0]) + &u16s(&[889]) + &phases + &croatia_end,
                vec![
                    r#""equipment_id":"90000001""#,
                    r#""energy_import_t2":{"value":1.000,"unit":"kWh"}"#,
                    r#""reactive_energy_q4_total":{"value":0.040,"unit":"kvarh"}"#,
                    r#""power_factor":{"value":0.889,"unit":""}"#,
                    r#""current_l2":{"value":0.92,"unit":"A"}"#,
                    r#""28":{"value":17250,"unit":""}"#,
                    r#""32":1"#,
                ],
            ),
            (
                "Croatia, short",
                28,
                croatia + &u32s(&[430, 0]) + &phases + &croatia_end,
                vec![
                    r#""power_import":{"value":0.430,"unit":"kW"}"#,
                    r#""voltage_l3":{"value":233.3,"unit":"V"}"#,
                ],
            ),
            (
                "Switzerland",
                15,
                u32s(&[3000, 2000, 1000, 600, 500, 100])
                    + "0900"
                    + CLOCK
                    + &u32s(&[0, 430])
                    + &u16s(&[51, 92, 63, 2311, 2333]),
                vec![
                    r#""power_import":{"value":0.430,"unit":"kW"}"#,
                    r#""current_l3":{"value":0.63,"unit":"A"}"#,
                    r#""voltage_l3":{"value":233.3,"unit":"V"}"#,
                ],
            ),
            (
                "Slovenia, energies",
                12,
                octets("ISK1030700000009")
                    + &octets("16820006")
                    + "1601"
                    + &octets("0002")
                    + &u32s(&[3000, 2000, 1000, 600, 500, 100, 70, 80]),
                vec![
                    r#""switch_electricity":1"#,
                    r#""tariff":2"#,
                    r#""energy_export_t1":{"value":0.500,"unit":"kWh"}"#,
                    r#""1":"16820006""#,
                ],
            ),
        ] {
            let printed = fields(&format!("02{count:02X} {body}"));
            for value in expected {
                assert!(printed.contains(value), "{name}: {value} in {printed}");
            }
        }
    }

    #[test]
    fn a_list_that_is_not_known_keeps_every_value_and_says_so() {
        let mut memory = ScaleMemory::default();
        let message = HEXUPPER_PERMISSIVE
            .decode(format!("0F00000000000203{}", u32s(&[1, 2, 3])).as_bytes())
            .unwrap();
        let notification = Notification::parse(&message).unwrap();
        let report = report_with(&notification, None, &ReportOptions::default(), &mut memory);
        assert_eq!((report.unknown.0.len(), memory.unknown_list()), (3, Some(3)));
    }

    #[test]
    fn numbers_without_a_code_beside_coded_ones_are_kept() {
        let printed = fields("0204 0906 0100010700FF 06000001F4 1200E6 1200E7");
        assert_eq!(
            printed,
            r#"[{"power_import":{"value":0.500,"unit":"kW"}},{"0":{"value":230,"unit":""},"1":{"value":231,"unit":""}}]"#
        );
    }

    #[test]
    fn the_tariff_is_a_number_however_it_is_sent() {
        for (sent, printed) in [
            ("0904 30303032", r#"[{"tariff":2},{}]"#),
            ("0902 0002", r#"[{"tariff":2},{}]"#),
            ("1102", r#"[{"tariff":2},{}]"#),
            ("1602", r#"[{"tariff":2},{}]"#),
            ("0903 4E4E4E", r#"[{"tariff":"NNN"},{}]"#),
        ] {
            assert_eq!(
                fields(&format!("0202 0906 0000600E00FF {sent}")),
                printed,
                "{sent}"
            );
        }
    }

    #[test]
    fn a_number_under_a_usual_code_comes_first() {
        let (lesser, usual) = ("0906 0000000000FF 0A024C31", "0906 0000600100FF 0A024D31");
        assert_eq!(fields(&format!("0202 {lesser}")), r#"[{"equipment_id":"L1"},{}]"#);
        for both in [format!("{lesser} {usual}"), format!("{usual} {lesser}")] {
            assert_eq!(
                fields(&format!("0204 {both}")),
                r#"[{"equipment_id":"M1"},{"0-0:0.0.0":"L1"}]"#
            );
        }
    }

    #[test]
    fn a_clock_that_was_never_set_is_no_time() {
        let report = fields("0202 0906 0000010000FF 090C 07D00101060C0000FF800000");
        assert!(!report.contains("timestamp\""), "{report}");
    }

    #[test]
    fn a_year_is_no_ampere() {
        let years = fields("0203 0906 0000600605FF 110C 0202 0F00 1601");
        assert_eq!(years, r#"[{},{"0-0:96.6.5":{"value":12,"unit":"a"}}]"#);
    }

    #[test]
    fn given_a_power_of_ten_that_no_decimal_holds_then_the_number_is_text() {
        let huge = fields("0203 0906 0100010800FF 0600000005 0202 0F7F 161E");
        assert_eq!(huge, r#"[{"energy_import_total":"5e127"},{}]"#);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
            let _ = Notification::parse(&bytes);
            if let Ok(notification) = Notification::parse(&[&[0x0F, 0, 0, 0, 0, 0], &bytes[..]].concat()) {
                let _ = report(&notification, None, &ReportOptions::default());
            }
        }
    }
}
