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
    /// Number on the meter's dial, all digits.
    #[arg(long, value_name = "N")]
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
            "metertap: none of {meters} meters heard is near {}. It may be out of range, or transmit rarely.",
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

fn print_candidates(candidates: &[Candidate]) {
    for c in candidates {
        eprintln!(
            "candidate {} ({} {}, type {}): {} is {:.0} from the dial, heard {} times",
            c.id,
            c.kind,
            c.summary.commodity,
            c.summary.meter_type,
            c.summary.consumption,
            c.steps,
            c.summary.receptions
        );
    }
    eprintln!();
}

fn print_match(mine: &Candidate) {
    println!(
        "Your meter is {} ({} {}).",
        mine.id, mine.kind, mine.summary.commodity
    );
    if mine.extra_digits > 0 {
        println!("Its counter has {} digits more than the dial.", mine.extra_digits);
    }
    println!("In metertap.toml:\n\n[[meter]]\nid = {}", mine.id);
}
