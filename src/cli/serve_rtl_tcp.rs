//! `metertap serve-rtl-tcp`: shares a dongle with other programs by the rtl_tcp protocol, and decodes its meters.

use crate::cli::tuner_args::TunerArgs;
use crate::daemon::event_stream::{Event, EventStream};
use crate::format::{LineFormat, ReadingWriter};
use crate::meter::default_kinds;
use crate::receiver::{Radio, RadioOptions};
use crate::runtime::Runtime;
use crate::source::rtl_tcp::server::{DEFAULT_BUFFER_MB, Sharing};
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
    /// Megabytes that a slow client may lag behind before it loses samples; 128 are 28 s.
    #[arg(long, value_name = "MB", default_value_t = DEFAULT_BUFFER_MB, value_parser = clap::value_parser!(u32).range(1..=1024))]
    buffer_mb: u32,
}

/// Serves until stopped; readings go to standard output as JSON lines.
pub fn run(args: &Args) -> Result<ExitCode> {
    let runtime = Runtime::for_command()?;
    let options = RadioOptions::for_all(default_kinds(), Trust::Normal, &runtime.context);
    let (name, source) = args.tuner.single_source("one dongle can be shared at a time")?;
    let radio = Radio::live(
        &name,
        source,
        Some(Sharing::new(args.listen, args.buffer_mb)),
        &options,
    )?;
    let bound = radio.rtl_tcp.unwrap_or(args.listen);
    eprintln!("metertap: rtl_tcp on {bound}; its clients share {name} and cannot retune it");
    let mut lines = ReadingWriter::new(stdout(), LineFormat::Json, false);
    for event in EventStream::new(vec![radio], &runtime.context) {
        match event {
            Event::Reading(reading) => lines.write(&reading)?,
            Event::End(_, end) => end.result?,
            _ => {}
        }
    }
    Ok(ExitCode::SUCCESS)
}
