//! `metertap listen`: what is in the air, now, with no broker.

use crate::cli::selection::Wanted;
use crate::cli::show::Show;
use crate::cli::tuner::Tuner;
use crate::daemon::event_stream::{Event, EventStream};
use crate::format::Format;
use crate::receiver::RadioOptions;
use crate::runtime::Runtime;
use crate::status::receiver::Condition;
use anyhow::Result;
use metertap_dsp::Trust;
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    tuner: Tuner,
    /// Lines instead of a table. Without this: a live table on a terminal, JSON lines elsewhere.
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// Add how well it was heard to JSON lines.
    #[arg(long)]
    signal: bool,
    /// What to believe: strict (no corrections), normal, eager.
    #[arg(long, default_value = "normal", value_name = "TRUST")]
    trust: Trust,
    /// Cancel after this long.
    #[arg(long, value_name = "S")]
    seconds: Option<f64>,
    #[command(flatten)]
    wanted: Wanted,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let runtime = Runtime::for_command()?;
    let stop = runtime.context.cancel.clone();
    let orders = RadioOptions::for_all(args.wanted.kinds(), args.trust, &runtime.context);
    let radios = args.tuner.radios(&orders)?;
    let mut show = Show::new(args.format, args.signal, "metertap listen", args.wanted.filter())?;
    show.listen_to_keys();
    // There is room for one.
    if let Some(radio) = radios.first() {
        show.look(radio.spectrum.clone());
    }
    let begun = Instant::now();
    let limit = args.seconds.map(Duration::from_secs_f64);
    for event in EventStream::new(radios, &runtime.context) {
        match event {
            Event::Reading(reading) => {
                show.take(&reading)?;
            }
            Event::State(state) => {
                let why = state.reason.as_deref().unwrap_or_default();
                show.title(&match state.state {
                    Condition::Starting => format!("{}: starting", state.receiver),
                    Condition::Up => format!("{}: {}", state.receiver, state.device.unwrap_or_default()),
                    Condition::Stalled => format!("{}: stalled: {why}", state.receiver),
                    Condition::Down => format!("{}: down: {why}", state.receiver),
                });
            }
            // There are none here.
            Event::Wire(_) | Event::Failure(_) | Event::Reload | Event::Quiet => {}
            Event::End(_, end) => end.result?,
        }
        show.draw(None)?;
        if show.done() || limit.is_some_and(|limit| begun.elapsed() > limit) {
            stop.cancel();
        }
    }
    show.finish()?;
    Ok(ExitCode::SUCCESS)
}
