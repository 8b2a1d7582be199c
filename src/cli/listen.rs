//! `metertap listen`: displays the meters received now.

use crate::cli::message_args::MessageArgs;
use crate::cli::reading_display::ReadingDisplay;
use crate::cli::tuner_args::TunerArgs;
use crate::daemon::event_stream::{Event, EventStream};
use crate::format::LineFormat;
use crate::receiver::RadioOptions;
use crate::runtime::Runtime;
use crate::source::R820T_GAINS_TENTHS;
use crate::status::log_buffer::LogBuffer;
use crate::status::receiver::Condition;
use anyhow::Result;
use metertap_dsp::Trust;
use std::io::{IsTerminal, stderr, stdout};
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    tuner: TunerArgs,
    /// Print lines of this format. Default: a live table on a terminal, JSON lines elsewhere.
    #[arg(long, value_name = "FORMAT")]
    format: Option<LineFormat>,
    /// Behave as rtlamr: its flags with one dash, its environment (RTLAMR_…), lines in its default format, rtl_tcp on this
    /// machine, and its `GainCount` line on standard error once samples arrive.
    #[arg(long)]
    rtlamr: bool,
    /// Add signal quality to JSON lines.
    #[arg(long)]
    signal: bool,
    /// Frames to accept: strict (no corrections), normal or eager.
    #[arg(long, default_value = "normal", value_name = "TRUST")]
    trust: Trust,
    /// Stop after this many seconds.
    #[arg(long, value_name = "S")]
    seconds: Option<f64>,
    #[command(flatten)]
    messages: MessageArgs,
}

impl Args {
    /// Returns whether a table is drawn where the log would be written.
    pub fn shows_table(&self) -> bool {
        let lines = self.format.is_some() || self.rtlamr;
        !lines && stdout().is_terminal() && stderr().is_terminal()
    }
}

pub fn run(args: &Args, log: &LogBuffer) -> Result<ExitCode> {
    let runtime = Runtime::for_command()?;
    let cancel = runtime.context.cancel.clone();
    let options = RadioOptions::for_all(args.messages.kinds(), args.trust, &runtime.context);
    args.tuner.band().check_format(args.format)?;
    let radios = args.tuner.radios(&options)?;
    let mut display = ReadingDisplay::new(
        args.format.or(args.rtlamr.then_some(LineFormat::Plain)),
        args.signal,
        "metertap listen",
        args.messages.filter(),
    )?;
    display.enable_keys();
    if args.shows_table() {
        display.show_log(log.clone());
    }
    // The terminal has room for one spectrum.
    if let Some(radio) = radios.first() {
        display.show_spectrum(radio.spectrum.clone());
    }
    // Programs that start rtlamr wait for this line before they read.
    let mut waits_for_gain_count = args.rtlamr;
    let start = Instant::now();
    let limit = args.seconds.map(Duration::from_secs_f64);
    for event in EventStream::new(radios, &runtime.context) {
        match event {
            Event::Reading(reading) => {
                display.add(&reading)?;
            }
            Event::State(state) => {
                if state.state == Condition::Up && std::mem::take(&mut waits_for_gain_count) {
                    eprintln!("GainCount: {}", R820T_GAINS_TENTHS.len());
                }
                let reason = state.reason.as_deref().unwrap_or_default();
                // Errors of a server begin with its address, which is the receiver's name here.
                let reason = reason
                    .strip_prefix(&format!("{}: ", state.receiver))
                    .unwrap_or(reason);
                display.set_title(&match state.state {
                    Condition::Starting => format!("{}: starting", state.receiver),
                    Condition::Up => {
                        let measured = [
                            state.sample_rate.map(|hz| format!(", {hz:.0} S/s")),
                            state.crystal_ppm.map(|ppm| format!(", crystal {ppm:+.0} ppm")),
                        ];
                        let measured: String = measured.into_iter().flatten().collect();
                        format!(
                            "{}: {}{measured}",
                            state.receiver,
                            state.device.unwrap_or_default()
                        )
                    }
                    Condition::Stalled => format!("{}: stalled: {reason}", state.receiver),
                    Condition::Down => format!("{}: down: {reason}", state.receiver),
                });
            }
            Event::Telegram(telegram) => {
                display.add_telegram(&telegram)?;
            }
            Event::Wire(_) | Event::Failure(_) | Event::Reload | Event::Quiet => {}
            Event::End(_, end) => end.result?,
        }
        display.draw(None)?;
        if display.is_finished() || limit.is_some_and(|limit| start.elapsed() > limit) {
            cancel.cancel();
        }
    }
    display.finish()?;
    Ok(ExitCode::SUCCESS)
}
