//! `metertap serve-rtl-tcp`: a dongle for other programs, and for us.

use super::tuner::Tuner;
use crate::engine::{Chorus, Event, Orders, Radio, Stop};
use crate::meter::Registry;
use crate::sink::lines::{Format, Lines};
use crate::sink::rtl_tcp::Tap;
use anyhow::{Result, bail};
use metertap_dsp::Trust;
use std::collections::HashMap;
use std::io::stdout;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

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
    let stop = Stop::on_signals()?;
    let orders = Orders {
        registry: Arc::new(Registry::new(HashMap::new(), super::wanted::default_kinds())),
        trust: Trust::Normal,
        stop: stop.clone(),
    };
    let [(name, live)] = &args.tuner.live()?[..] else {
        bail!("one dongle can be shared at a time: use --source once");
    };
    let tap = Tap::default();
    let bound = tap.serve(args.listen)?;
    eprintln!("metertap: rtl_tcp on {bound}; its clients share {name} and cannot retune it");
    let mut lines = Lines::new(stdout(), Format::Json, false);
    let radio = Radio::live(name, live.clone(), Some(tap), &orders)?;
    for event in Chorus::new(vec![radio], stop) {
        match event {
            Event::Reading(reading) => lines.write(&reading)?,
            Event::End(_, end) => end.result?,
            _ => {}
        }
    }
    Ok(ExitCode::SUCCESS)
}
