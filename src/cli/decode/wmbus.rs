//! `metertap decode wmbus`: telegrams of wireless M-Bus, one a line.

use crate::cli::decode::input::read;
use crate::cli::report_table::write_table;
use anyhow::{Context, Result, bail};
use metertap_decode::cipher::Key;
use metertap_decode::wmbus::{Decoder, KeyOrigin, KeyRing, Security, Telegram, explain, kem, line, report};
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// File to decode; `-` is standard input.
    ///
    /// One telegram a line, with or without its CRCs: hex digits, also with `|` and `_` between them, or lines of rtl_wmbus. Earlier
    /// lines teach the format of compact frames.
    file: PathBuf,
    /// Key of 32 hex digits for every meter, or `12345678=HEX` for one; may be repeated. Plain text of a meter with a key is
    /// refused.
    ///
    /// Other users see it in the list of processes; METERTAP_KEY is not shown there.
    #[arg(
        long = "key",
        value_name = "[ID=]HEX",
        env = "METERTAP_KEY",
        hide_env_values = true
    )]
    keys: Vec<MeterKey>,
    /// KEM file of Kamstrup with the keys of its meters.
    #[arg(long, value_name = "FILE", requires = "kem_password")]
    kem: Option<PathBuf>,
    /// Password of the KEM file; as a rule the customer number.
    #[arg(
        long,
        value_name = "TEXT",
        env = "METERTAP_KEM_PASSWORD",
        hide_env_values = true
    )]
    kem_password: Option<String>,
    /// Print each telegram layer by layer in front of its reading.
    #[arg(long)]
    explain: bool,
}

/// Key of one meter or of all.
#[derive(Clone, Debug)]
struct MeterKey {
    number: Option<String>,
    key: Key,
}

impl FromStr for MeterKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, key) = match text.split_once('=') {
            Some((number, key)) => (Some(number.trim()), key),
            None => (None, text),
        };
        let is_number =
            |number: &str| number.len() == 8 && number.bytes().all(|byte| byte.is_ascii_hexdigit());
        if let Some(wrong) = number.filter(|number| !is_number(number)) {
            return Err(format!(
                "expected the eight digits of a meter in front of `=`, found `{wrong}`"
            ));
        }
        Ok(MeterKey {
            number: number.map(str::to_owned),
            key: key.parse::<Key>().map_err(|error| error.to_string())?,
        })
    }
}

/// Decodes and prints a file.
pub fn run(args: &Args, as_table: bool) -> Result<ExitCode> {
    let shown = args.file.display();
    let keys = keys(args)?;
    let content = read(&args.file).with_context(|| shown.to_string())?;
    let text = String::from_utf8_lossy(&content);
    let mut decoder = Decoder::default();
    let mut out = stdout().lock();
    let (mut readings, mut notes) = (0, Vec::new());
    for (at, text) in (1..).zip(text.lines()) {
        let bytes = match line::telegram(text) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => continue,
            Err(error) => {
                notes.push(format!("line {at}: {error}"));
                continue;
            }
        };
        let telegram = match decoder.decode(&bytes, &keys) {
            Ok(telegram) => telegram,
            Err(error) => {
                notes.push(format!("line {at}: {error}"));
                continue;
            }
        };
        if args.explain {
            for part in explain(&telegram) {
                writeln!(out, "  {:9} {} {}", part.layer, part.bytes, part.text)?;
            }
        }
        notes.extend(note(&telegram).map(|note| format!("line {at}: {note}")));
        if !telegram.security.is_readable() {
            continue;
        }
        readings += 1;
        let report = report(&telegram);
        if as_table {
            write_table(&mut out, &report)?;
        } else {
            writeln!(out, "{}", serde_json::to_string(&report)?)?;
        }
    }
    match (readings, notes.is_empty()) {
        (0, true) => bail!("{shown}: there is no telegram in it: no line of hex digits"),
        (0, false) => bail!("{shown}: {}", notes.join("; ")),
        _ => {}
    }
    for note in notes {
        eprintln!("metertap: {shown}: {note}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the keys of the command line and of the KEM file.
fn keys(args: &Args) -> Result<KeyRing> {
    let mut keys = KeyRing::default();
    if let Some(path) = &args.kem {
        let file = read(path).with_context(|| path.display().to_string())?;
        let password = args.kem_password.as_deref().unwrap_or_default();
        let meters = kem::meters(&file, password).with_context(|| path.display().to_string())?;
        for meter in meters {
            keys.insert(meter.serial_number, meter.key);
        }
    }
    for MeterKey { number, key } in &args.keys {
        match number {
            Some(number) => keys.insert(number.as_str(), key.clone()),
            None => keys.set_any(key.clone()),
        }
    }
    Ok(keys)
}

/// Returns what a user should know of a telegram besides its reading.
fn note(telegram: &Telegram) -> Option<String> {
    let meter = format!(
        "{} ({} {})",
        telegram.meter.number(),
        telegram.meter.letters(),
        telegram.medium
    );
    let remedy = match telegram.security {
        Security::NoKey(_) => ": --key is needed",
        Security::PlainRefused => ": leave out --key to read it",
        Security::WrongKey(_) | Security::Unproved(_) | Security::Unsupported(_) => "",
        Security::Decrypted(_, KeyOrigin::Default(_)) => "",
        Security::Plain | Security::DecryptedBefore(_) | Security::Decrypted(_, KeyOrigin::Given) => {
            let problem = telegram.problem?;
            return Some(format!("{meter}: {problem}"));
        }
    };
    let problem = telegram
        .problem
        .map(|problem| format!("; {problem}"))
        .unwrap_or_default();
    Some(format!("{meter}: {}{remedy}{problem}", telegram.security))
}
