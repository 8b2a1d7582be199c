//! `metertap serve-rtl-tcp`: a dongle for other programs, and for us.

use crate::cli::tuner::Tuner;
use crate::daemon::event_stream::{Event, EventStream};
use crate::format::{Format, Lines};
use crate::meter::default_kinds;
use crate::receiver::{Radio, RadioOptions};
use crate::runtime::Runtime;
use anyhow::Result;
use metertap_dsp::Trust;
use std::io::stdout;
use std::net::SocketAddr;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    tuner: Tuner,
    /// Where to serve; anything but loopback lets the whole network listen.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:1234")]
    listen: SocketAddr,
}

/// Meters heard meanwhile go to standard output as JSON lines.
pub fn run(args: &Args) -> Result<ExitCode> {
    let runtime = Runtime::for_command()?;
    let orders = RadioOptions::for_all(default_kinds(), Trust::Normal, &runtime.context);
    let (name, live) = args.tuner.only("one dongle can be shared at a time")?;
    let radio = Radio::live(&name, live, Some(args.listen), &orders)?;
    let bound = radio.rtl_tcp.unwrap_or(args.listen);
    eprintln!("metertap: rtl_tcp on {bound}; its clients share {name} and cannot retune it");
    let mut lines = Lines::new(stdout(), Format::Json, false);
    for event in EventStream::new(vec![radio], &runtime.context) {
        match event {
            Event::Reading(reading) => lines.write(&reading)?,
            Event::End(_, end) => end.result?,
            _ => {}
        }
    }
    Ok(ExitCode::SUCCESS)
}
