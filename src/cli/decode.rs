//! `metertap decode`: a file of what a wire carried, as readings.

use crate::cli::report_table::table;
use crate::port::{CrcPolicy, DecodeEvent, Dlms, DlmsOptions, Kmp, Listener, Mbus, P1, P1Options};
use anyhow::{Context, Result, bail};
use data_encoding::HEXUPPER_PERMISSIVE;
use metertap_decode::cipher::{Key, Keys};
use metertap_decode::dlms;
use metertap_decode::time::Zone;
use std::io::{Read, Write, stdin, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: Origin,
    /// A table instead of JSON lines.
    #[arg(long, global = true)]
    table: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Origin {
    /// P1/DSMR telegrams, plain or encrypted; text, binary or hex.
    P1(P1Args),
    /// DLMS/COSEM that a meter pushes: in HDLC or M-Bus frames, in blocks or bare; binary or hex.
    Dlms(Input),
    /// What meters on a wired M-Bus answer: long frames, binary or hex.
    Mbus(File),
    /// What a Kamstrup meter answers through its optical eye: KMP frames, binary or hex.
    Kmp(File),
}

#[derive(Debug, clap::Args)]
struct File {
    /// The file; `-` is standard input.
    file: PathBuf,
}

#[derive(Debug, clap::Args)]
struct Input {
    /// The file; `-` is standard input.
    file: PathBuf,
    /// Encryption key, 32 hex digits. Seen by others in the list of processes: METERTAP_KEY is not.
    #[arg(long, value_name = "HEX", env = "METERTAP_KEY", hide_env_values = true)]
    key: Option<Key>,
    /// Authentication key, 32 hex digits; without it a wrong key shows only in the plaintext.
    #[arg(long, value_name = "HEX", env = "METERTAP_AUTH_KEY", hide_env_values = true)]
    auth_key: Option<Key>,
    /// Where the meter stands: its clock shows local time.
    #[arg(long, value_name = "ZONE", default_value = "Europe/Amsterdam")]
    zone: Zone,
}

impl Input {
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
    input: Input,
    /// What is asked of the CRC.
    #[arg(long, value_name = "POLICY", default_value = "when-present")]
    crc: CrcPolicy,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let decode =
        |file: &Path, listener: &mut dyn Listener, nothing: &str| decode(file, listener, nothing, args.table);
    match &args.what {
        Origin::P1(args) => {
            let settings = P1Options {
                crc: args.crc,
                keys: args.input.keys(),
                zone: args.input.zone.clone(),
            };
            let nothing = "there is no telegram in it: no line begins with /, and no frame with DB 08";
            decode(&args.input.file, &mut P1::new(settings), nothing)
        }
        Origin::Dlms(input) => {
            let settings = DlmsOptions {
                keys: input.keys(),
                meter: dlms::ReportOptions {
                    zone: input.zone.clone(),
                    ..dlms::ReportOptions::default()
                },
            };
            let nothing = "there is no message in it: no HDLC or M-Bus frame, and none without a frame";
            decode(&input.file, &mut Dlms::new(settings), nothing)
        }
        Origin::Mbus(File { file }) => decode(file, &mut Mbus::default(), "there is no M-Bus frame in it"),
        Origin::Kmp(File { file }) => decode(file, &mut Kmp::default(), "there is no answer (40 … 0D) in it"),
    }
}

/// Prints what `listener` makes of `file`; `nothing`: what to say where it makes nothing at all of it.
fn decode(file: &Path, listener: &mut dyn Listener, nothing: &str, as_table: bool) -> Result<ExitCode> {
    let shown = file.display();
    let raw = read(file).with_context(|| shown.to_string())?;
    let hex = from_hex(&raw);
    let bytes = hex.as_deref().unwrap_or(&raw);
    let is_text = hex.is_none() && raw.iter().all(|byte| *byte >= b' ' || byte.is_ascii_whitespace());
    let place = |at: u64| match usize::try_from(at).ok().and_then(|at| bytes.get(..at)) {
        Some(before) if is_text => {
            format!(
                "line {}",
                1 + before.iter().filter(|byte| **byte == b'\n').count()
            )
        }
        _ => format!("byte {at}"),
    };
    let (mut lines, mut troubles) = (Vec::new(), Vec::new());
    let mut tell = |said: DecodeEvent| match said.result {
        Ok(report) => lines.push(report),
        Err(trouble) => {
            let mend = if trouble.kind == "no_key" {
                ": --key is needed"
            } else {
                ""
            };
            troubles.push(format!("{}: {}{mend}", place(said.at), trouble.text));
        }
    };
    listener.push(bytes, &mut tell);
    listener.end(&mut tell);
    let mut out = stdout().lock();
    for report in &lines {
        if as_table {
            table(&mut out, report)?;
        } else {
            writeln!(out, "{}", serde_json::to_string(report)?)?;
        }
    }
    match (lines.is_empty(), troubles.is_empty()) {
        (true, true) if bytes.starts_with(b"/") => bail!("{shown}: {nothing}; it begins as P1 does"),
        (true, true) => bail!("{shown}: {nothing}"),
        (true, false) => bail!("{shown}: {}", troubles.join("; ")),
        _ => {}
    }
    for trouble in troubles {
        eprintln!("metertap: {shown}: {trouble}");
    }
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        stdin().read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    Ok(std::fs::read(path)?)
}

/// Bytes written as hex digits, with white space and `//` comments between; nothing if there is anything else.
fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let digits: String = text
        .lines()
        .flat_map(|line| line.split("//").next().unwrap_or_default().chars())
        .filter(|digit| !digit.is_ascii_whitespace())
        .collect();
    let octets = HEXUPPER_PERMISSIVE.decode(digits.as_bytes()).ok()?;
    (!octets.is_empty()).then_some(octets)
}
