//! `metertap serve-rtl-tcp`: shares a dongle with other programs by the rtl_tcp protocol, and decodes its meters.

use crate::cli::message_args::default_kinds;
use crate::cli::tuner_args::TunerArgs;
use crate::daemon::event_stream::{Event, EventStream};
use crate::format::{LineFormat, ReadingWriter};
use crate::receiver::{Radio, RadioOptions};
use crate::runtime::cancel::Stop;
use crate::source::rtl_tcp::server::Tap;
use anyhow::Result;
use metertap_dsp::Trust;
use std::io::stdout;
use std::net::SocketAddr;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    tuner: TunerArgs,
    /// Address and port to serve on. Any host that can reach it may listen.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:1234")]
    listen: SocketAddr,
}

/// Serves until stopped; readings go to standard output as JSON lines.
pub fn run(args: &Args) -> Result<ExitCode> {
    let stop = Stop::on_signals()?;
    let options = RadioOptions::for_all(default_kinds(), Trust::Normal, &stop);
    let (name, source) = args.tuner.single_source("one dongle can be shared at a time")?;
    let tap = Tap::default();
    let bound = tap.serve(args.listen)?;
    eprintln!("metertap: rtl_tcp on {bound}; its clients share {name} and cannot retune it");
    let mut lines = ReadingWriter::new(stdout(), LineFormat::Json, false);
    let radio = Radio::live(&name, source, Some(tap), &options)?;
    for event in EventStream::new(vec![radio], stop) {
        match event {
            Event::Reading(reading) => lines.write(&reading)?,
            Event::End(_, end) => end.result?,
            _ => {}
        }
    }
    Ok(ExitCode::SUCCESS)
}
