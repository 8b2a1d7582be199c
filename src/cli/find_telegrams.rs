//! `metertap find --band 868`: lists the meters whose wireless M-Bus is received, and marks those that show a number.

use crate::daemon::event_stream::{Event, EventStream};
use crate::meter::RadioTelegram;
use crate::receiver::Radio;
use crate::runtime::Context;
use anyhow::Result;
use jiff::Timestamp;
use metertap_decode::wmbus::{Decoder, KeyRing, Security, Telegram, report};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Meters in the list; further ones are counted.
const MAX_METERS: usize = 10_000;
/// Share of the reading by which a value may differ: consumption since the dial was read.
const NEAR_SHARE: f64 = 0.002;

/// Meter that was received.
struct Found {
    manufacturer: String,
    medium: &'static str,
    radio_id: Option<String>,
    mode: String,
    security: &'static str,
    is_encrypted: bool,
    telegrams: u32,
    first: Timestamp,
    last: Timestamp,
    snr_db: f64,
    /// Fields that show the number on the dial.
    matches: Vec<String>,
}

/// Receives for `within`, and prints each meter when it is new and all at the end. Succeeds if there is any; with a
/// `reading`, if one shows it.
pub fn run(
    radios: Vec<Radio>,
    reading: Option<f64>,
    within: Duration,
    context: &Context,
) -> Result<ExitCode> {
    let mut meters: BTreeMap<String, Found> = BTreeMap::new();
    let mut decoder = Decoder::default();
    let start = Instant::now();
    for event in EventStream::new(radios, context) {
        match event {
            Event::Telegram(telegram) => {
                if let Ok(decoded) = decoder.decode(&telegram.bytes, &KeyRing::default()) {
                    add(&mut meters, &telegram, &decoded, reading);
                }
            }
            Event::State(state) => {
                if let Some(reason) = &state.reason {
                    eprintln!("metertap: {}: {reason}", state.receiver);
                }
            }
            Event::End(_, end) => end.result?,
            _ => {}
        }
        let is_found = reading.is_some() && meters.values().any(|meter| !meter.matches.is_empty());
        if is_found || start.elapsed() >= within {
            context.cancel.cancel();
        }
    }
    print(&meters);
    let mine = meters.iter().find(|(_, meter)| !meter.matches.is_empty());
    match (reading, mine) {
        (Some(_), Some((id, meter))) => {
            println!(
                "\nYour meter is {id}: {} shows it. In metertap.toml:\n",
                meter.matches.join(", ")
            );
            println!("[[meter]]\nid = \"{id}\"");
            Ok(ExitCode::SUCCESS)
        }
        (Some(_), None) => {
            eprintln!("metertap: no meter that can be read without a key shows this number");
            Ok(ExitCode::FAILURE)
        }
        (None, _) if meters.is_empty() => {
            eprintln!(
                "metertap: no meter heard in {:.0} s. Many send every 16 s to 15 min; `metertap doctor --band 868` examines the receiver",
                start.elapsed().as_secs_f64()
            );
            Ok(ExitCode::FAILURE)
        }
        (None, _) => Ok(ExitCode::SUCCESS),
    }
}

fn add(
    meters: &mut BTreeMap<String, Found>,
    telegram: &RadioTelegram,
    decoded: &Telegram,
    reading: Option<f64>,
) {
    let id = decoded.meter.number();
    if meters.len() >= MAX_METERS && !meters.contains_key(&id) {
        return;
    }
    let is_new = !meters.contains_key(&id);
    let meter = meters.entry(id.clone()).or_insert_with(|| Found {
        manufacturer: decoded.meter.letters(),
        medium: decoded.medium,
        radio_id: decoded.radio_number(),
        mode: String::new(),
        security: decoded.security.name(),
        is_encrypted: false,
        telegrams: 0,
        first: telegram.time,
        last: telegram.time,
        snr_db: telegram.signal.snr_db,
        matches: Vec::new(),
    });
    meter.mode = telegram.mode.to_string();
    meter.is_encrypted |= !matches!(decoded.security, Security::Plain);
    meter.security = decoded.security.name();
    (meter.telegrams, meter.last, meter.snr_db) =
        (meter.telegrams + 1, telegram.time, telegram.signal.snr_db);
    if let Some(reading) = reading.filter(|_| decoded.security.is_readable()) {
        meter.matches = matches(decoded, reading);
    }
    if is_new {
        eprintln!("{}", row(&id, meter));
    }
}

/// Returns the fields that show `reading`, in their unit or by its digits without a point.
fn matches(decoded: &Telegram, reading: f64) -> Vec<String> {
    let report = report(decoded);
    let shows = |value: f64| {
        let near = |value: f64| {
            value >= reading * (1.0 - 1e-9) && value - reading <= (NEAR_SHARE * reading).max(1.0)
        };
        value > 0.0 && (near(value) || near(value * 1000.0))
    };
    let fields = report
        .reading
        .0
        .iter()
        .filter(|(_, value)| value.quantity().is_some_and(|quantity| shows(quantity.to_f64())));
    fields.map(|(name, _)| name.to_string()).collect()
}

fn print(meters: &BTreeMap<String, Found>) {
    if meters.is_empty() {
        return;
    }
    println!(
        "{:8}  {:5}  {:18}  {:4}  {:16}  {:>9}  {:>8}  {:>7}",
        "id", "maker", "medium", "mode", "encryption", "telegrams", "interval", "snr"
    );
    for (id, meter) in meters {
        println!("{}", row(id, meter));
    }
}

fn row(id: &str, meter: &Found) -> String {
    let interval = match meter.telegrams {
        0 | 1 => "-".to_owned(),
        telegrams => {
            let span = meter.last.duration_since(meter.first).as_secs_f64();
            format!("{:.0} s", span / f64::from(telegrams - 1))
        }
    };
    let encryption = if meter.is_encrypted {
        meter.security
    } else {
        "none"
    };
    let radio = meter
        .radio_id
        .as_ref()
        .map_or_else(String::new, |radio| format!("  radio {radio}"));
    format!(
        "{id:8}  {:5}  {:18}  {:4}  {encryption:16}  {:>9}  {interval:>8}  {:4.1} dB{radio}",
        meter.manufacturer, meter.medium, meter.mode, meter.telegrams, meter.snr_db
    )
}
