//! Readings of a telegram: one of the meter itself, and one of each sub-meter.

use super::hex_text;
use super::sub_meter::sub_meter;
use super::telegram::{Object, Telegram};
use crate::fields::{FieldKind, field};
use crate::obis::Obis;
use crate::quantity::Quantity;
use crate::report::{Failure, Fields, Peak, ReadingType, Report, Value};
use crate::time::{MeterTime, Zone};
use crate::unit::Unit;

/// Duration of a failure with which Kaifa meters fill unused entries of the log: 2^31 − 1 s.
const FILLER_S: u64 = (1 << 31) - 1;
/// Most entries read of a log; the standards have 10 failures and 13 months.
const MAX_ENTRIES: usize = 32;

/// Codes of the number of a meter, the one that is printed on it first.
const NUMBERS: [Obis; 8] = [
    code(0, 96, 1, 1),
    code(0, 96, 1, 0),
    code(0, 96, 1, 255),
    code(1, 96, 1, 0),
    code(1, 0, 0, 1),
    code(1, 0, 0, 5),
    code(1, 0, 0, 0),
    code(0, 0, 0, 0),
];
/// Time of day and date of meters that send them apart.
const CLOCK_PARTS: [Obis; 2] = [code(1, 0, 9, 1), code(1, 0, 9, 2)];

const fn code(a: u8, c: u8, d: u8, e: u8) -> Obis {
    Obis { a, b: 0, c, d, e }
}

/// Returns all readings of a telegram, that of the meter itself first, then those of sub-meters by channel.
///
/// The id of the meter is its equipment id or logical device name, else the identification line, which all meters of a type
/// have in common. `zone` is where the meter stands.
pub fn readings(telegram: &Telegram, zone: &Zone) -> Vec<Report> {
    readings_of(telegram, zone, telegram.identification)
}

/// Returns all readings of a telegram, as [`readings`] does; `unnumbered` is the id of a meter that sends no number.
pub fn readings_of(telegram: &Telegram, zone: &Zone, unnumbered: &str) -> Vec<Report> {
    let mut main = Report::new(ReadingType::P1, unnumbered);
    let mut channels: Vec<(u8, Vec<&Object>)> = Vec::new();
    let number = NUMBERS.iter().find_map(|code| number(telegram, *code));
    let clock = clock(telegram, zone);
    for object in &telegram.objects {
        let obis = object.obis;
        if obis.a == 0 && obis.b != 0 {
            match channels.iter_mut().find(|(channel, _)| *channel == obis.b) {
                Some((_, objects)) => objects.push(object),
                None => channels.push((obis.b, vec![object])),
            }
            continue;
        }
        if let Some(name) = average_current(object) {
            if let Some(value) = value(object, FieldKind::Quantity, &Unit::A, zone) {
                main.reading.put(name, value);
                continue;
            }
        }
        let field = field(obis);
        match (field.as_ref().map(|field| field.name), &number) {
            // A meter may send several numbers; the best one is its id.
            (Some("equipment_id"), Some((best, id))) => match *best == obis {
                true => main.reading.put("equipment_id", Value::Text(id.clone())),
                false if self::number(telegram, obis).is_some_and(|(_, other)| other != *id) => {
                    keep(object, &mut main.unknown);
                }
                false => {}
            },
            _ => match field.map(|field| (value(object, field.kind, &field.unit, zone), field)) {
                // Hungary's registers use the code of Belgium's peaks.
                Some((Some(value @ Value::Registers { .. }), _)) => {
                    main.reading.put("month_end_registers", value);
                }
                Some((Some(Value::Time(time)), _)) if !time.is_set() => keep(object, &mut main.unknown),
                // Channels of one quantity have one name, and the first one counts; of one code that comes twice, the last.
                Some((Some(_), field))
                    if main.reading.get(field.name).is_some() && !is_repeated(telegram, object) =>
                {
                    keep(object, &mut main.unknown);
                }
                Some((Some(value), field)) => main.reading.put(field.name, value),
                // Empty brackets mean that the meter has no value for this code.
                Some(_) if object.groups.iter().all(|group| group.is_empty()) => {}
                None if clock.is_some() && CLOCK_PARTS.contains(&without_channel(obis)) => {}
                _ => keep(object, &mut main.unknown),
            },
        }
    }
    if let (Some(clock), None) = (clock, main.reading.get("timestamp")) {
        main.reading.put("timestamp", Value::Time(clock));
    }
    if let Some(Value::Time(time)) = main.reading.get("timestamp") {
        main.time = Some(*time);
    }
    for name in ["equipment_id", "logical_device_name"] {
        if let Some(Value::Text(id)) = main.reading.get(name) {
            if !id.is_empty() {
                main.id = id.as_str().into();
                break;
            }
        }
    }
    for (code, groups) in &telegram.earlier {
        main.unknown
            .put((*code).to_owned(), Value::Text(groups.join(")(")));
    }
    channels.sort_by_key(|(channel, _)| *channel);
    let mut subs = Vec::new();
    for (channel, objects) in channels {
        match sub_meter(channel, &objects, &main.id, zone) {
            Some(sub) => subs.push(sub),
            // The channel of a switch, or of a meter that was removed.
            None => objects.iter().for_each(|object| keep(object, &mut main.unknown)),
        }
    }
    std::iter::once(main).chain(subs).collect()
}

/// Returns the number of the meter under this code, and the code.
fn number(telegram: &Telegram, code: Obis) -> Option<(Obis, String)> {
    let mut objects = telegram.objects.iter();
    let object = objects.find(|object| without_channel(object.obis) == code)?;
    let number = hex_text::decode_number(object.groups.first()?);
    (!number.is_empty()).then_some((object.obis, number))
}

/// Returns the code with channel 0, which meters of one channel leave at any number.
fn without_channel(obis: Obis) -> Obis {
    let b = if obis.a == 1 { 0 } else { obis.b };
    Obis { b, ..obis }
}

/// Returns the time that the meter sends as a time of day and a date (Slovenia, Tauron in Poland).
fn clock(telegram: &Telegram, zone: &Zone) -> Option<MeterTime> {
    let group = |code: Obis| {
        let mut objects = telegram.objects.iter();
        let object = objects
            .find(|object| Obis { b: 0, ..object.obis } == code || object.obis == Obis { a: 0, ..code });
        object.and_then(|object| object.groups.first())
    };
    let [time, date] = CLOCK_PARTS.map(group);
    let stamp = format!("{} {}", date?, time?);
    MeterTime::from_p1(&stamp, zone).filter(MeterTime::is_set)
}

/// Returns the name of a value that Lithuanian meters send under the code of DSMR's fuse threshold: the average current. They
/// count in kA, in which nobody states a fuse.
fn average_current(object: &Object) -> Option<&'static str> {
    let (_, unit) = Quantity::as_sent(object.groups.first()?, &Unit::None)?;
    match (object.obis.a, object.obis.c, object.obis.d, object.obis.e) {
        (1, 31, 4, 0) if unit == Unit::KA => Some("current_avg_l1"),
        (1, 51, 4, 0) if unit == Unit::KA => Some("current_avg_l2"),
        (1, 71, 4, 0) if unit == Unit::KA => Some("current_avg_l3"),
        _ => None,
    }
}

/// Returns true if an earlier object of the telegram has the same code.
fn is_repeated(telegram: &Telegram, object: &Object) -> bool {
    let mut earlier = telegram
        .objects
        .iter()
        .take_while(|other| !std::ptr::eq(*other, object));
    earlier.any(|other| other.obis == object.obis)
}

/// Keeps an object by its code, as sent.
fn keep(object: &Object, unknown: &mut Fields) {
    unknown.put(object.obis.to_string(), Value::Text(object.as_sent()));
}

/// Decodes the groups of an object; `None` if they are empty or not of this kind.
fn value(object: &Object, kind: FieldKind, unit: &Unit, zone: &Zone) -> Option<Value> {
    let groups = &object.groups[..];
    let first = *groups.first()?;
    match kind {
        FieldKind::Quantity => Quantity::from_p1(first, unit).map(Value::Quantity),
        FieldKind::Demand => Some(Value::Demand {
            timestamp: MeterTime::from_p1(first, zone)?,
            quantity: Quantity::from_p1(groups.get(1)?, unit)?,
        }),
        FieldKind::Count => first.parse().ok().map(Value::Count),
        FieldKind::Time => MeterTime::from_p1(first, zone).map(Value::Time),
        FieldKind::HexText => Some(Value::Text(hex_text::decode(first))),
        FieldKind::Text => Some(Value::Text(first.to_owned())),
        FieldKind::FailureLog => Some(Value::Failures(failures(groups, zone))),
        FieldKind::History if is_count(first) => Some(Value::Peaks(peaks(groups, unit, zone))),
        FieldKind::History => registers(groups, zone),
    }
}

/// Decodes `(n)(0-0:96.7.19)` and n pairs of end and duration. Malformed pairs are left out.
fn failures(groups: &[&str], zone: &Zone) -> Vec<Failure> {
    let pairs = groups.get(2..).unwrap_or_default().chunks_exact(2);
    pairs
        .take(MAX_ENTRIES)
        .filter_map(|pair| {
            let duration_s = pair[1].strip_suffix("*s").unwrap_or(pair[1]).parse().ok()?;
            let end = MeterTime::from_p1(pair[0], zone)?;
            (duration_s != FILLER_S).then_some(Failure { end, duration_s })
        })
        .collect()
}

/// Returns true for a number of entries, which has one or two digits; a time has twelve.
fn is_count(group: &str) -> bool {
    (1..=2).contains(&group.len()) && group.bytes().all(|byte| byte.is_ascii_digit())
}

/// Decodes Belgium's peaks: `(n)(1-0:1.6.0)(1-0:1.6.0)` and n triples.
fn peaks(groups: &[&str], unit: &Unit, zone: &Zone) -> Vec<Peak> {
    let triples = groups.get(3..).unwrap_or_default().chunks_exact(3);
    let peaks = triples.take(MAX_ENTRIES).filter_map(|triple| {
        Some(Peak {
            month_end: MeterTime::from_p1(triple[0], zone)?,
            occurred: MeterTime::from_p1(triple[1], zone)?,
            quantity: Quantity::from_p1(triple[2], unit)?,
        })
    });
    peaks.collect()
}

/// Decodes Hungary's registers: `(end of the month)` and their values at that time. They are told apart by position
/// alone, so one malformed value makes all of them worthless.
fn registers(groups: &[&str], zone: &Zone) -> Option<Value> {
    let (end, registers) = groups.split_first()?;
    let registers = registers.iter().take(MAX_ENTRIES);
    Some(Value::Registers {
        timestamp: MeterTime::from_p1(end, zone)?,
        registers: registers
            .map(|group| Quantity::from_p1(group, &Unit::None))
            .collect::<Option<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reports of a telegram with these lines, as JSON.
    fn reports(lines: &[&str]) -> Vec<String> {
        let text = format!("/ABC5made-up\r\n\r\n{}\r\n!", lines.join("\r\n"));
        let telegram = Telegram::parse(&text).unwrap();
        let reports = readings(&telegram, &Zone::default());
        reports
            .iter()
            .map(|report| serde_json::to_string(report).unwrap())
            .collect()
    }

    #[test]
    fn the_number_is_found_under_every_code_and_the_best_one_is_the_id() {
        for (lines, id) in [
            (
                &["1-0:0.0.0*255(1336000009)", "0-0:96.1.255*255(1ESY1336000009)"][..],
                "1ESY1336000009",
            ),
            (
                &["1-0:0.0.0*255(1EBZ0100000009)", "1-0:96.1.0*255(1EBZ0100000009)"],
                "1EBZ0100000009",
            ),
            (&["0-0:0.0.0(5100000009)", "1-0:1.7.0(01.0*kW)"], "5100000009"),
            (&["0-0:96.1.0(96815399)"], "96815399"),
            (&["0-0:96.1.1(4B384547)", "0-0:96.1.0(96815399)"], "K8EG"),
            (&["0-0:96.1.1(FFFFFFFFFFFF)", "0-0:96.1.0(96815399)"], "96815399"),
            (&["1-0:1.7.0(01.0*kW)"], "ABC5made-up"),
        ] {
            let report = &reports(lines)[0];
            assert!(report.contains(&format!(r#""id":"{id}""#)), "{id}: {report}");
        }
    }

    #[test]
    fn a_clock_of_two_lines_is_a_time_and_one_that_was_never_set_is_none() {
        let split = &reports(&["1-0:0.9.1(222553)", "1-0:0.9.2(251002)", "1-0:1.7.0(01.0*kW)"])[0];
        assert!(
            split.starts_with(r#"{"time":"2025-10-02T22:25:53+02:00""#),
            "{split}"
        );
        assert!(!split.contains("unknown"), "{split}");
        let unset = &reports(&["0-0:1.0.0(000101010000W)", "1-0:1.7.0(01.0*kW)"])[0];
        assert!(
            !unset.contains("time") && unset.contains("000101010000W"),
            "{unset}"
        );
    }

    #[test]
    fn a_heat_meter_of_five_registers_keeps_them_all_with_their_names() {
        let heat = &reports(&[
            "0-1:24.1.0(004)",
            "0-1:96.1.0(4830303039)",
            "0-1:24.2.1(260115120000W)(1234.567*m3)",
            "0-1:24.2.2(260115120000W)(0000.050*m3/h)",
            "0-1:24.2.3(260115120000W)(000070.0*degC)",
            "0-1:24.2.4(260115120000W)(000035.0*degC)",
            "0-1:24.2.5(260115120000W)(0012.345*GJ)",
            "0-1:24.2.6(260115120000W)(17)",
        ])[1];
        for value in [
            r#""volume":{"value":1234.567,"unit":"m3"}"#,
            r#""volume_flow":{"value":0.050,"unit":"m3/h"}"#,
            r#""flow_temperature":{"value":70.0,"unit":"°C"}"#,
            r#""return_temperature":{"value":35.0,"unit":"°C"}"#,
            r#""heat":{"value":12.345,"unit":"GJ"}"#,
            r#""unknown":{"0-1:24.2.6":"260115120000W)(17"}"#,
        ] {
            assert!(heat.contains(value), "{value} in {heat}");
        }
    }

    #[test]
    fn gas_without_a_unit_is_m3_if_it_has_a_time_and_is_not_zero() {
        let gas = |value: &str| {
            let counter = format!("0-1:24.2.1({value})");
            reports(&[
                "0-0:96.1.1(4B384547)",
                "0-1:24.1.0(003)",
                "0-1:96.1.0(4730303039)",
                &counter,
            ])
            .len()
        };
        assert_eq!(gas("260115120000W)(00058.418"), 2);
        assert_eq!(gas("260115120000W)(00058.418*m\u{B3}"), 2);
        assert_eq!(gas("260115120000W)(00000.000"), 1);
        assert_eq!(gas("632525252525S)(00058.418"), 1);
    }

    #[test]
    fn a_current_in_ka_is_an_average_and_one_in_a_a_fuse() {
        let current = |value: &str| reports(&[&format!("1-0:31.4.0({value})")]).remove(0);
        assert!(current("0000.003*kA").contains(r#""current_avg_l1":{"value":3,"unit":"A"}"#));
        assert!(current("025*A").contains(r#""fuse_threshold":{"value":25,"unit":"A"}"#));
    }
}
