//! `metertap decode`: a file of what a wire carried, as readings.

use crate::decode::cipher::{Ciphered, Key, Keys};
use crate::decode::hex::octets;
use crate::decode::p1::{Telegram, Zone, readings, text};
use crate::link::glo::Glo;
use crate::link::p1::{Crc, Frame, frames};
use anyhow::{Context, Result, bail};
use std::io::{Read, Write, stdin, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// P1/DSMR telegrams, plain or encrypted; text, binary or hex.
    P1(P1),
}

#[derive(Debug, clap::Args)]
struct P1 {
    /// The file; `-` is standard input.
    file: PathBuf,
    /// Encryption key, 32 hex digits. Seen by others in the list of processes: METERTAP_KEY is not.
    #[arg(long, value_name = "HEX", env = "METERTAP_KEY", hide_env_values = true)]
    key: Option<Key>,
    /// Authentication key, 32 hex digits; without it a wrong key shows only in the plaintext.
    #[arg(long, value_name = "HEX", env = "METERTAP_AUTH_KEY", hide_env_values = true)]
    auth_key: Option<Key>,
    /// required, when-present or ignore.
    #[arg(long, value_name = "POLICY", default_value = "when-present")]
    crc: Policy,
}

/// What is asked of the CRC of a telegram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Policy {
    Required,
    WhenPresent,
    Ignore,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    match &args.what {
        What::P1(args) => p1(args).with_context(|| args.file.display().to_string()),
    }
}

fn p1(args: &P1) -> Result<ExitCode> {
    let bytes = read(&args.file)?;
    let bytes = from_hex(&bytes).unwrap_or(bytes);
    let keys = args.key.clone().map(|encryption| Keys {
        encryption,
        authentication: args.auth_key.clone(),
    });
    let mut troubles = Vec::new();
    let mut telegrams = frames(&bytes);
    if telegrams.is_empty() {
        telegrams = deciphered(&bytes, keys.as_ref(), &mut troubles);
    }
    let mut told = 0;
    let mut out = stdout().lock();
    for frame in &telegrams {
        match (frame.crc, args.crc) {
            (Crc::Wrong { stated, computed }, Policy::Required | Policy::WhenPresent) => {
                troubles.push(format!("the CRC is {stated:04X}, but should be {computed:04X}"));
                continue;
            }
            (Crc::Absent, Policy::Required) => {
                troubles.push("there is no CRC".into());
                continue;
            }
            _ => {}
        }
        let text = text(&frame.bytes);
        let telegram = Telegram::parse(&text)?;
        for line in &telegram.unread {
            eprintln!("metertap: not understood: {line}");
        }
        for reading in readings(&telegram, &Zone::default()) {
            writeln!(out, "{}", serde_json::to_string(&reading)?)?;
            told += 1;
        }
    }
    match (told, troubles.is_empty()) {
        (0, true) => bail!("there is no telegram in it: none begins with / and ends with a line of !"),
        (_, false) => bail!("{}", troubles.join("; ")),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Telegrams in ciphered frames.
fn deciphered(bytes: &[u8], keys: Option<&Keys>, troubles: &mut Vec<String>) -> Vec<Frame> {
    let (mut glo, mut telegrams) = (Glo::default(), Vec::new());
    let mut take = |ciphered: &Ciphered| {
        let Some(keys) = keys else {
            troubles.push(format!(
                "is encrypted (frame counter {}): --key is needed",
                ciphered.counter
            ));
            return true;
        };
        match ciphered.decrypt(keys) {
            Ok(text) => {
                let found = frames(&text);
                if found.is_empty() {
                    troubles.push("decrypts to no telegram: is the key right?".into());
                }
                telegrams.extend(found);
            }
            Err(error) => troubles.push(error.to_string()),
        }
        true
    };
    glo.push(bytes, &mut take);
    let cut = glo.pause(&mut take);
    if telegrams.is_empty() && troubles.is_empty() {
        troubles.extend(cut.map(|cut| format!("an encrypted frame is {cut}")));
    }
    telegrams
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
    octets(&digits).filter(|octets| !octets.is_empty())
}
