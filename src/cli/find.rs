//! `metertap find`: finds the radio meter whose counter shows the number on a dial.

use crate::cli::tuner_args::TunerArgs;
use crate::daemon::event_stream::{Event, EventStream};
use crate::meter::default_kinds;
use crate::meter::find::{Candidate, candidates, certain_match};
use crate::meter::table::MeterTable;
use crate::receiver::{Radio, RadioOptions};
use crate::runtime::Runtime;
use crate::source::recording::{Recording, RecordingOverrides};
use anyhow::Result;
use metertap_decode::ert::Commodity;
use metertap_dsp::Trust;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Number on the meter's dial, all digits, also painted zeros; 48,213 is understood.
    #[arg(long, value_name = "N", value_parser = dial_reading)]
    reading: f64,
    /// Only meters of this commodity: electric, gas or water.
    #[arg(long)]
    commodity: Option<Commodity>,
    /// Give up after this many seconds. Many meters transmit once in a few minutes.
    #[arg(long, value_name = "S", default_value_t = 1800.0)]
    seconds: f64,
    /// Search a recording instead of receiving.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    tuner: TunerArgs,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let runtime = Runtime::for_command()?;
    let cancel = runtime.context.cancel.clone();
    let options = RadioOptions::for_all(default_kinds(), Trust::Normal, &runtime.context);
    let radios = match &args.file {
        Some(file) => {
            let recording = Recording::open(file, &RecordingOverrides::default())?;
            vec![Radio::recording(Box::new(recording), &options)?]
        }
        None => args.tuner.radios(&options)?,
    };
    let mut table = MeterTable::default();
    let mut shown = Vec::new();
    let start = Instant::now();
    for event in EventStream::new(radios, &runtime.context) {
        match event {
            Event::Reading(reading) => {
                let is_wanted = args
                    .commodity
                    .is_none_or(|wanted| reading.message.commodity() == wanted);
                if is_wanted {
                    table.add(&reading);
                }
                let found = candidates(args.reading, table.meters());
                if found.iter().map(|c| c.id).ne(shown.iter().copied()) {
                    shown = found.iter().map(|c| c.id).collect();
                    print_candidates(&found);
                }
                if let Some(mine) = certain_match(&found) {
                    print_match(mine);
                    return Ok(ExitCode::SUCCESS);
                }
            }
            Event::State(state) => {
                if let Some(reason) = state.reason {
                    eprintln!("metertap: {}: {reason}", state.receiver);
                }
            }
            Event::End(_, end) => end.result?,
            Event::Wire(_) | Event::Failure(_) | Event::Reload | Event::Quiet => {}
        }
        if start.elapsed() > Duration::from_secs_f64(args.seconds) {
            cancel.cancel();
        }
    }
    let meters = table.meters().len();
    match candidates(args.reading, table.meters()).as_slice() {
        [] => eprintln!(
            "metertap: none of {meters} meters heard is near {}. It may be out of range, transmit rarely, or be of a kind that \
             cannot be received: {NOT_RECEIVED}",
            args.reading
        ),
        several => eprintln!(
            "metertap: {} of {meters} meters heard are near {}; read the dial again later and try the new number.",
            several.len(),
            args.reading
        ),
    }
    Ok(ExitCode::FAILURE)
}

/// Kinds of meters that many people have and that send nothing that could be decoded.
const NOT_RECEIVED: &str = "Itron OpenWay and Gen5, Sensus FlexNet, Aclara and Silver Spring meters encrypt their readings or hop in \
    a mesh. A label with two digits, a dash and a decimal number is an ERT; one with hexadecimal digits is not (README, What it decodes)";

fn print_candidates(candidates: &[Candidate]) {
    for c in candidates {
        eprintln!(
            "candidate {} ({} {}, type {}): {}{} is {:.0} from the dial, received {}",
            c.id,
            c.kind,
            c.summary.commodity,
            c.summary.meter_type,
            c.summary.consumption.unwrap_or_default(),
            factor(c.extra_digits),
            c.steps,
            times(c.summary.receptions)
        );
    }
    eprintln!();
}

fn print_match(mine: &Candidate) {
    println!(
        "Your meter is {} ({} {}).",
        mine.id, mine.kind, mine.summary.commodity
    );
    match mine.extra_digits {
        0 => {}
        1.. => println!(
            "Its counter has {} more than the dial: one count is 1/{} of the dial's last digit.",
            digits(mine.extra_digits),
            power(mine.extra_digits)
        ),
        _ => println!(
            "Its counter has {} fewer than the dial: multiply it by {}.",
            digits(-mine.extra_digits),
            power(-mine.extra_digits)
        ),
    }
    println!("In metertap.toml:\n\n[[meter]]\nid = {}", mine.id);
    if mine.extra_digits != 0 {
        let scale = 10f64.powi(-mine.extra_digits);
        println!("scale = {scale}    # reads as the dial does; give its unit as well");
    }
}

/// Parses a dial's number; commas between digits are separators of thousands.
fn dial_reading(text: &str) -> Result<f64, String> {
    let plain: String = text.chars().filter(|c| !matches!(c, ',' | '_' | ' ')).collect();
    match plain.parse::<f64>() {
        Ok(number) if number.is_finite() && number >= 0.0 => Ok(number),
        _ => Err(format!(
            "invalid reading `{text}`: expected the number on the dial, such as 48213"
        )),
    }
}

fn power(digits: i32) -> u32 {
    10u32.pow(digits.unsigned_abs())
}

/// Factor between counter and dial, for a candidate's line.
fn factor(extra_digits: i32) -> String {
    match extra_digits {
        0 => String::new(),
        1.. => format!(" / {}", power(extra_digits)),
        _ => format!(" x {}", power(extra_digits)),
    }
}

fn digits(count: i32) -> String {
    format!("{count} digit{}", if count == 1 { "" } else { "s" })
}

fn times(count: u64) -> String {
    match count {
        1 => "once".into(),
        2 => "twice".into(),
        _ => format!("{count} times"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_separators_then_the_dial_is_read_and_words_are_refused() {
        for text in ["48213", "48,213", "48 213", "48_213"] {
            assert_eq!(dial_reading(text), Ok(48_213.0), "{text}");
        }
        assert!(dial_reading("many").is_err() && dial_reading("-3").is_err() && dial_reading("nan").is_err());
    }
}
