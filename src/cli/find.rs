//! `metertap find`: finds the radio meter whose counter shows the number on a dial.

use crate::cli::dial_search::{DialSearch, Progress, dial_reading, scale};
use crate::cli::find_telegrams;
use crate::cli::tuner_args::TunerArgs;
use crate::meter::default_kinds;
use crate::meter::find::Candidate;
use crate::receiver::{Radio, RadioOptions};
use crate::runtime::Runtime;
use crate::source::recording::{Recording, RecordingOverrides};
use anyhow::{Result, bail};
use metertap_decode::ert::Commodity;
use metertap_dsp::Trust;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Number on the meter's dial, all digits, also painted zeros; 48,213 is understood.
    /// Needed for ERT meters; with --band 868 it marks the meter that shows it.
    #[arg(long, value_name = "N", value_parser = dial_reading)]
    reading: Option<f64>,
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
    let options = RadioOptions::for_all(default_kinds(), Trust::Normal, &runtime.context);
    let radios = match &args.file {
        Some(file) => {
            let recording = Recording::open(file, &RecordingOverrides::default())?;
            let family = args.tuner.family();
            let options = RadioOptions { family, ..options };
            vec![Radio::recording(Box::new(recording), &options)?]
        }
        None => args.tuner.radios(&options)?,
    };
    let within = Duration::from_secs_f64(args.seconds);
    if args.tuner.family().is_wmbus() {
        return find_telegrams::run(radios, args.reading, within, &runtime.context);
    }
    let Some(reading) = args.reading else {
        bail!(
            "--reading is missing: the number on the meter's dial (with --band 868, all meters are listed without it)"
        );
    };
    let mut search = DialSearch::new(reading, args.commodity);
    let found = search.run(radios, within, &runtime.context, |progress| {
        match progress {
            Progress::Candidates(found) => print_candidates(found),
            Progress::State(state) => {
                if let Some(reason) = &state.reason {
                    eprintln!("metertap: {}: {reason}", state.receiver);
                }
            }
            Progress::End(result) => result?,
        }
        Ok(())
    })?;
    if let Some(mine) = found {
        print_match(&mine);
        return Ok(ExitCode::SUCCESS);
    }
    let meters = search.received();
    match search.candidates().as_slice() {
        [] => eprintln!(
            "metertap: none of {meters} meters heard is near {reading}. It may be out of range, transmit rarely, or be of a kind that \
             cannot be received: {NOT_RECEIVED}"
        ),
        several => eprintln!(
            "metertap: {} of {meters} meters heard are near {}; read the dial again later and try the new number.",
            several.len(),
            reading
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
    if let Some(scale) = scale(mine) {
        println!("scale = {scale}    # reads as the dial does; give its unit as well");
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
