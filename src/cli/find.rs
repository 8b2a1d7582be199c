//! `metertap find`: which of the meters in the air is mine?

use crate::cli::tuner::Tuner;
use crate::daemon::event_stream::{Event, EventStream};
use crate::meter::default_kinds;
use crate::meter::find::{Candidate, candidates, certain};
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
    /// The number on the meter's dial, as far as it is printed there.
    #[arg(long, value_name = "N")]
    reading: f64,
    /// electric, gas or water, if it is to be nothing else.
    #[arg(long)]
    commodity: Option<Commodity>,
    /// Give up after this long; many meters speak once in a few minutes.
    #[arg(long, value_name = "S", default_value_t = 1800.0)]
    seconds: f64,
    /// Look in a recording instead of the air.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    tuner: Tuner,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let runtime = Runtime::for_command()?;
    let stop = runtime.context.cancel.clone();
    let orders = RadioOptions::for_all(default_kinds(), Trust::Normal, &runtime.context);
    let radios = match &args.file {
        Some(file) => {
            let recording = Recording::open(file, &RecordingOverrides::default())?;
            vec![Radio::recording(Box::new(recording), &orders)?]
        }
        None => args.tuner.radios(&orders)?,
    };
    let mut heard = MeterTable::default();
    let mut told = Vec::new();
    let begun = Instant::now();
    for event in EventStream::new(radios, &runtime.context) {
        match event {
            Event::Reading(reading) => {
                let is_wanted = args
                    .commodity
                    .is_none_or(|wanted| reading.message.commodity() == wanted);
                if is_wanted {
                    heard.add(&reading);
                }
                let found = candidates(args.reading, heard.meters());
                if found.iter().map(|c| c.id).ne(told.iter().copied()) {
                    told = found.iter().map(|c| c.id).collect();
                    show(&found);
                }
                if let Some(mine) = certain(&found) {
                    return Ok(congratulate(mine));
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
        if begun.elapsed() > Duration::from_secs_f64(args.seconds) {
            stop.cancel();
        }
    }
    let meters = heard.meters().len();
    match candidates(args.reading, heard.meters()).as_slice() {
        [] => eprintln!(
            "metertap: none of {meters} meters heard is near {}. It may be out of reach, or speak rarely.",
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

fn show(candidates: &[Candidate]) {
    for c in candidates {
        eprintln!(
            "candidate {} ({} {}, type {}): {} is {:.0} from the dial, heard {} times",
            c.id, c.kind, c.entry.commodity, c.entry.meter_type, c.entry.consumption, c.steps, c.entry.times
        );
    }
    eprintln!();
}

fn congratulate(mine: &Candidate) -> ExitCode {
    println!(
        "Your meter is {} ({} {}).",
        mine.id, mine.kind, mine.entry.commodity
    );
    if mine.digits > 0 {
        println!("Its counter has {} digits more than the dial.", mine.digits);
    }
    println!("In metertap.toml:\n\n[[meter]]\nid = {}", mine.id);
    ExitCode::SUCCESS
}
