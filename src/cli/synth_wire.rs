//! `metertap synth-wire`: turns the values of a draft into the bytes that a meter sends.

use anyhow::{Context, Result, anyhow};
use data_encoding::HEXUPPER_PERMISSIVE;
use metertap_decode::framing::tic::{Group, Mode};
use metertap_decode::framing::{iec, sml as sml_framing, tic};
use metertap_decode::sml::{self, Data, Entry, List};
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Protocol.
    protocol: Protocol,
    /// Draft: for iec, the identification and data lines; for tic, labels and values separated by a space (historique) or
    /// tabs (standard); for sml, `server HEX`, and `CODE VALUE [SCALER UNIT [STATUS]]` with values such as u:42, i2:-42,
    /// x:0A01 and t:MTP.
    draft: PathBuf,
    /// File to write; `-` is standard output.
    #[arg(short, long, value_name = "OUT")]
    out: PathBuf,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Protocol {
    Sml,
    Tic,
    Iec,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let shown = args.draft.display();
    let draft = std::fs::read_to_string(&args.draft).with_context(|| shown.to_string())?;
    let bytes = match args.protocol {
        Protocol::Sml => sml_file(&draft).with_context(|| shown.to_string())?,
        Protocol::Tic => tic_frame(&draft).with_context(|| shown.to_string())?,
        Protocol::Iec => {
            let (identification, lines) = draft.split_once('\n').unwrap_or((&draft, ""));
            iec::seal(identification.trim().trim_start_matches('/'), lines.trim_end()).concat()
        }
    };
    if args.out == Path::new("-") {
        stdout().lock().write_all(&bytes)?;
    } else {
        std::fs::write(&args.out, bytes).with_context(|| args.out.display().to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Lines of a draft with their numbers, without empty ones and comments.
fn lines(draft: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = (1..).zip(draft.lines());
    lines.filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
}

fn tic_frame(draft: &str) -> Result<Vec<u8>> {
    let is_standard = draft.contains('\t');
    let (mode, separator) = if is_standard {
        (Mode::Standard, '\t')
    } else {
        (Mode::Historique, ' ')
    };
    let group = |(number, line): (usize, &str)| {
        let expected = || anyhow!("line {number}: expected a label and a value, found `{line}`");
        let (label, rest) = line.split_once(separator).ok_or_else(expected)?;
        let (time, value) = match rest.split_once('\t') {
            Some((time, value)) => (Some(time.to_owned()), value),
            None => (None, rest),
        };
        Ok(Group {
            label: label.into(),
            time,
            value: value.into(),
        })
    };
    let groups: Result<Vec<Group>> = lines(draft).map(group).collect();
    Ok(tic::seal(&groups?, mode))
}

fn sml_file(draft: &str) -> Result<Vec<u8>> {
    let mut list = List::default();
    for (number, line) in lines(draft) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let expected =
            || anyhow!("line {number}: expected `CODE VALUE [SCALER UNIT [STATUS]]`, found `{line}`");
        match words[..] {
            ["server", id] => list.server_id = octets(id).ok_or_else(expected)?,
            [code, value, ref rest @ ..] => list.entries.push(Entry {
                code: code_groups(code).ok_or_else(expected)?,
                value: data(value).ok_or_else(expected)?,
                scaler: rest
                    .first()
                    .map_or(Ok(0), |scaler| scaler.parse())
                    .map_err(|_| expected())?,
                unit: rest
                    .get(1)
                    .map(|unit| unit.parse())
                    .transpose()
                    .map_err(|_| expected())?,
                status: match rest.get(2) {
                    Some(status) => Some(u64::from_str_radix(status, 16).map_err(|_| expected())?),
                    None => None,
                },
            }),
            _ => return Err(expected()),
        }
    }
    Ok(sml_framing::seal(&sml::file(&[list])))
}

/// Parses the six groups of a code, `1-0:1.8.0*255`.
fn code_groups(text: &str) -> Option<[u8; 6]> {
    let groups: Option<Vec<u8>> = text
        .split(['-', ':', '.', '*'])
        .map(|group| group.parse().ok())
        .collect();
    groups?.try_into().ok()
}

fn octets(digits: &str) -> Option<Vec<u8>> {
    HEXUPPER_PERMISSIVE.decode(digits.as_bytes()).ok()
}

fn data(text: &str) -> Option<Data> {
    let (kind, value) = text.split_once(':')?;
    Some(match kind {
        "u" => Data::Unsigned(value.parse().ok()?),
        "t" => Data::Octets(value.into()),
        "x" => Data::Octets(octets(value)?),
        width => Data::Integer(value.parse().ok()?, width.strip_prefix('i')?.parse().ok()?),
    })
}
