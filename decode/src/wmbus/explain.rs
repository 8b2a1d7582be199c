//! Telegram layer by layer, for people who want to know what its bytes mean.

use super::layers::{Afl, Ell, Tpl};
use super::link::HEADER;
use super::telegram::Telegram;
use crate::mbus::{Function, Record, Value, walk};
use data_encoding::HEXUPPER;

/// Part of a telegram.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Part {
    /// Layer: `link`, `ell`, `afl`, `transport`, `security`, `record`, `payload`, `value` or `problem`.
    pub layer: &'static str,
    /// Bytes in hexadecimal, decrypted; empty for what no single bytes hold.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub bytes: String,
    /// Meaning.
    pub text: String,
}

/// Returns the parts of a telegram in the order of its bytes.
pub fn explain(telegram: &Telegram) -> Vec<Part> {
    let mut parts = vec![Part {
        layer: "link",
        bytes: HEXUPPER.encode(telegram.bytes.get(..HEADER).unwrap_or_default()),
        text: format!(
            "{:?}, L {}, C {:02X}, radio {} {} version {:02X} type {:02X} ({})",
            telegram.format,
            telegram.bytes.first().copied().unwrap_or_default(),
            telegram.link.control,
            telegram.link.address.letters(),
            telegram.link.address.number(),
            telegram.link.address.version,
            telegram.link.address.device_type,
            telegram.link.address.medium(),
        ),
    }];
    let mut add = |layer, bytes: &[u8], text: String| {
        parts.push(Part {
            layer,
            bytes: HEXUPPER.encode(bytes),
            text,
        });
    };
    if let Some(ell) = &telegram.ell {
        add(
            "ell",
            &[ell.information, ell.control, ell.access_number],
            ell_text(ell),
        );
    }
    if let Some(afl) = &telegram.afl {
        add("afl", &[0x90], afl_text(afl));
    }
    if telegram.tpl.information != 0 {
        add("transport", &[telegram.tpl.information], tpl_text(telegram));
    }
    add("security", &[], telegram.security.to_string());
    let mut shown = Vec::new();
    if telegram.has_ordinary_records {
        let mut last = 0;
        // The error at the end is the telegram's problem.
        let _ = walk(&telegram.payload, |record, span| {
            // A profile gives several records with one position.
            let is_new = span.header.start >= last;
            let bytes = if is_new {
                &telegram.payload[span.header.start..span.data.end]
            } else {
                &[]
            };
            last = span.data.end;
            add("record", bytes, record_text(&record));
            shown.push(record);
        });
    } else if !telegram.payload.is_empty() {
        let state = if telegram.security.is_readable() {
            "manufacturer's own"
        } else {
            "not decrypted"
        };
        add("payload", &telegram.payload, state.into());
    }
    for record in telegram.records.iter().filter(|record| !shown.contains(record)) {
        add("value", &[], record_text(record));
    }
    if let Some(problem) = &telegram.problem {
        add("problem", &[], problem.to_string());
    }
    parts
}

fn ell_text(ell: &Ell) -> String {
    let mut text = format!(
        "extended link layer, CC {:02X}{}, access number {}",
        ell.control,
        if ell.is_repeated() { " (repeated)" } else { "" },
        ell.access_number
    );
    if let Some(receiver) = &ell.receiver {
        text += &format!(", receiver {} {}", receiver.letters(), receiver.number());
    }
    if let Some(session) = &ell.session {
        text += &format!(", session {}", HEXUPPER.encode(session));
    }
    text
}

fn afl_text(afl: &Afl) -> String {
    let mut text = format!("authentication and fragmentation, FCL {:04X}", afl.fragment);
    if let Some(counter) = &afl.counter {
        text += &format!(", counter {}", u32::from_le_bytes(*counter));
    }
    if !afl.mac.is_empty() {
        text += &format!(", MAC {}", HEXUPPER.encode(&afl.mac));
    }
    text
}

fn tpl_text(telegram: &Telegram) -> String {
    let tpl: &Tpl = &telegram.tpl;
    let mut text = format!(
        "CI {:02X}, meter {} {} version {:02X} type {:02X} ({})",
        tpl.information,
        telegram.meter.letters(),
        telegram.meter.number(),
        telegram.meter.version,
        telegram.meter.device_type,
        telegram.medium,
    );
    if let Some(access_number) = tpl.access_number {
        let status = tpl.status_names();
        let status = if status.is_empty() {
            "ok".into()
        } else {
            status.join(" ")
        };
        text += &format!(
            ", access number {access_number}, status {:02X} ({status}), configuration {:04X} (mode {})",
            tpl.status,
            tpl.configuration,
            tpl.mode()
        );
    }
    text
}

fn record_text(record: &Record) -> String {
    let mut text = record.quantity.to_owned();
    for qualifier in &record.qualifiers {
        text += &format!(" {qualifier}");
    }
    match record.function {
        Function::Instantaneous | Function::ManufacturerSpecific => {}
        Function::Maximum => text += " maximum",
        Function::Minimum => text += " minimum",
        Function::Error => text += " error",
    }
    for (name, number) in [
        ("storage", record.storage),
        ("tariff", record.tariff.into()),
        ("subunit", record.subunit.into()),
    ] {
        if number > 0 {
            text += &format!(" {name} {number}");
        }
    }
    text += ": ";
    text += &match &record.value {
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Time(time)) => time.to_string(),
        Some(Value::Text(value)) => value.clone(),
        None => "no value".into(),
    };
    if !record.unit.is_none() {
        text += &format!(" {}", record.unit);
    }
    text
}
