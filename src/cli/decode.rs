//! `metertap decode`: decodes a file of bytes captured from a wire, or of telegrams, and prints its readings.

mod input;
mod wmbus;

use self::input::read;
use crate::cli::report_table::write_table;
use crate::port::{
    CrcPolicy, DecodeEvent, Dlms, DlmsOptions, Iec, Kmp, Listener, Mbus, P1, P1Options, Sml, Tic,
};
use crate::source::wire::from_hex;
use anyhow::{Context, Result, bail};
use metertap_decode::cipher::{Key, Keys};
use metertap_decode::dlms;
use metertap_decode::time::Zone;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    protocol: Protocol,
    /// Print tables instead of JSON lines.
    #[arg(long, global = true)]
    table: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Protocol {
    /// P1/DSMR telegrams, plain or encrypted; text, binary or hex.
    P1(P1Args),
    /// Pushed DLMS/COSEM messages: in HDLC or M-Bus frames, in blocks or bare; binary or hex.
    Dlms(EncryptedFile),
    /// Responses of meters on a wired M-Bus: long frames, binary or hex.
    Mbus(PlainFile),
    /// Telegrams of wireless M-Bus, as receivers print them: hex, one a line.
    Wmbus(wmbus::Args),
    /// Responses of a Kamstrup meter at its optical eye: KMP frames, binary or hex.
    Kmp(PlainFile),
    /// SML files of a German electricity meter; binary or hex.
    Sml(PlainFile),
    /// TIC frames of a French meter: Linky and older ones, historique or standard; text, binary or hex.
    Tic(ZonedFile),
    /// Readouts of a meter by IEC 62056-21, modes A to D; text, binary or hex.
    Iec(ZonedFile),
}

#[derive(Debug, clap::Args)]
struct ZonedFile {
    #[command(flatten)]
    input: PlainFile,
    /// Time zone of the meter, whose clock shows local time.
    #[arg(long, value_name = "ZONE", default_value = "Europe/Amsterdam")]
    zone: Zone,
}

#[derive(Debug, clap::Args)]
struct PlainFile {
    /// File to decode; `-` is standard input.
    file: PathBuf,
}

#[derive(Debug, clap::Args)]
struct EncryptedFile {
    /// File to decode; `-` is standard input.
    file: PathBuf,
    /// Encryption key, 32 hex digits. Other users see it in the list of processes; METERTAP_KEY is not shown there.
    #[arg(long, value_name = "HEX", env = "METERTAP_KEY", hide_env_values = true)]
    key: Option<Key>,
    /// Authentication key, 32 hex digits. Without it, a wrong encryption key is noticed only by the plaintext.
    #[arg(long, value_name = "HEX", env = "METERTAP_AUTH_KEY", hide_env_values = true)]
    auth_key: Option<Key>,
    /// Time zone of the meter, whose clock shows local time.
    #[arg(long, value_name = "ZONE", default_value = "Europe/Amsterdam")]
    zone: Zone,
}

impl EncryptedFile {
    fn keys(&self) -> Option<Keys> {
        let encryption = self.key.clone()?;
        Some(Keys {
            encryption,
            authentication: self.auth_key.clone(),
        })
    }
}

#[derive(Debug, clap::Args)]
struct P1Args {
    #[command(flatten)]
    input: EncryptedFile,
    /// Required result of the CRC check.
    #[arg(long, value_name = "POLICY", default_value = "when-present")]
    crc: CrcPolicy,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let decode =
        |file: &Path, listener: &mut dyn Listener, nothing: &str| decode(file, listener, nothing, args.table);
    match &args.protocol {
        Protocol::P1(args) => {
            let options = P1Options {
                crc: args.crc,
                keys: args.input.keys(),
                zone: args.input.zone.clone(),
                unnumbered: None,
            };
            let nothing = "there is no telegram in it: no line begins with /, and no frame with DB 08";
            decode(&args.input.file, &mut P1::new(options), nothing)
        }
        Protocol::Dlms(input) => {
            let options = DlmsOptions {
                keys: input.keys(),
                meter: dlms::ReportOptions {
                    zone: input.zone.clone(),
                    ..dlms::ReportOptions::default()
                },
            };
            let nothing = "there is no message in it: no HDLC or M-Bus frame, and none without a frame";
            decode(&input.file, &mut Dlms::new(options), nothing)
        }
        Protocol::Mbus(PlainFile { file }) => {
            decode(file, &mut Mbus::default(), "there is no M-Bus frame in it")
        }
        Protocol::Wmbus(telegrams) => wmbus::run(telegrams, args.table),
        Protocol::Kmp(PlainFile { file }) => {
            decode(file, &mut Kmp::default(), "there is no answer (40 … 0D) in it")
        }
        Protocol::Sml(PlainFile { file }) => {
            let nothing = "there is no SML file in it: no 1B 1B 1B 1B 01 01 01 01";
            decode(file, &mut Sml::default(), nothing)
        }
        Protocol::Tic(ZonedFile { input, zone }) => {
            let nothing =
                "there is no TIC frame in it: no 02 … 03, and no line that begins with ADCO or ADSC";
            decode(&input.file, &mut Tic::new(zone.clone()), nothing)
        }
        Protocol::Iec(ZonedFile { input, zone }) => {
            let nothing = "there is no readout in it: no / with three letters and a character of the speed";
            decode(&input.file, &mut Iec::new(zone.clone()), nothing)
        }
    }
}

/// Decodes and prints a file. `nothing` is the error if it holds neither a report nor a mistake.
fn decode(file: &Path, listener: &mut dyn Listener, nothing: &str, as_table: bool) -> Result<ExitCode> {
    let shown = file.display();
    let content = read(file).with_context(|| shown.to_string())?;
    let from_hex = from_hex(&content);
    let bytes = from_hex.as_deref().unwrap_or(&content);
    let is_text = from_hex.is_none()
        && content
            .iter()
            .all(|byte| *byte >= b' ' || byte.is_ascii_whitespace());
    let place = |at: u64| match usize::try_from(at).ok().and_then(|at| bytes.get(..at)) {
        Some(before) if is_text => {
            let line_ends = before.iter().filter(|byte| **byte == b'\n').count();
            format!("line {}", line_ends + 1)
        }
        _ => format!("byte {at}"),
    };
    let (mut reports, mut errors) = (Vec::new(), Vec::new());
    let mut collect = |event: DecodeEvent| match event.result {
        Ok(report) => reports.push(report),
        Err(error) => {
            let remedy = if error.kind == "no_key" {
                ": --key is needed"
            } else {
                ""
            };
            errors.push(format!("{}: {}{remedy}", place(event.at), error.text));
        }
    };
    listener.push(bytes, &mut collect);
    listener.finish(&mut collect);
    let mut out = stdout().lock();
    for report in &reports {
        if as_table {
            write_table(&mut out, report)?;
        } else {
            writeln!(out, "{}", serde_json::to_string(report)?)?;
        }
    }
    match (reports.is_empty(), errors.is_empty()) {
        (true, true) if bytes.starts_with(b"/") => bail!("{shown}: {nothing}; it begins as P1 does"),
        (true, true) => bail!("{shown}: {nothing}"),
        (true, false) => bail!("{shown}: {}", errors.join("; ")),
        _ => {}
    }
    for error in errors {
        eprintln!("metertap: {shown}: {error}");
    }
    Ok(ExitCode::SUCCESS)
}
