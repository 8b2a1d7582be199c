//! Telegram layer by layer, for people who want to know what its bytes mean.

use super::layers::{Afl, Ell, Tpl};
use super::link::HEADER;
use super::telegram::Telegram;
use crate::mbus::{Part, explain_records, record_text};
use data_encoding::HEXUPPER;

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
    if let Some(ell) = &telegram.ell {
        parts.push(part(
            "ell",
            &[ell.information, ell.control, ell.access_number],
            ell_text(ell),
        ));
    }
    if let Some(afl) = &telegram.afl {
        parts.push(part("afl", &[0x90], afl_text(afl)));
    }
    if telegram.tpl.information != 0 {
        parts.push(part("transport", &[telegram.tpl.information], tpl_text(telegram)));
    }
    parts.push(part("security", &[], telegram.security.to_string()));
    let mut shown = Vec::new();
    if telegram.has_ordinary_records {
        let (of_records, records) = explain_records(&telegram.payload);
        parts.extend(of_records);
        shown = records;
    } else if !telegram.payload.is_empty() {
        let state = if telegram.security.is_readable() {
            "manufacturer's own"
        } else {
            "not decrypted"
        };
        parts.push(part("payload", &telegram.payload, state.into()));
    }
    for record in telegram.records.iter().filter(|record| !shown.contains(record)) {
        parts.push(part("value", &[], record_text(record)));
    }
    if let Some(problem) = &telegram.problem {
        parts.push(part("problem", &[], problem.to_string()));
    }
    parts
}

fn part(layer: &'static str, bytes: &[u8], text: String) -> Part {
    let bytes = HEXUPPER.encode(bytes);
    Part { layer, bytes, text }
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
