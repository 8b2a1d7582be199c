//! What a person can ask for: a file a subcommand.

mod addon;
mod check;
mod decode;
mod demo;
#[cfg(feature = "demo")]
mod demo_broker;
#[cfg(feature = "rtlsdr")]
mod devices;
mod doctor;
mod find;
mod health;
mod init;
mod listen;
mod manual;
mod number;
mod poll;
mod record;
mod replay;
mod report_table;
mod run;
mod scan;
mod selection;
mod serve_rtl_tcp;
mod show;
mod synth;
mod synth_p1;
mod tuner;

use crate::status::log_buffer::LogBuffer;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Hears utility meters, by radio and by wire, and publishes what they say.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
pub struct Cli {
    /// Say more (twice: everything); RUST_LOG overrides this.
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Find the meters in recorded IQ files.
    Replay(Box<replay::Args>),
    /// Show what is in the air: a live table, or lines. No broker needed.
    Listen(Box<listen::Args>),
    /// List the dongles that are plugged in, and what keeps us from them.
    #[cfg(feature = "rtlsdr")]
    Devices(devices::Args),
    /// Tell whether everything is well, and if not, what is to be done.
    Doctor(Box<doctor::Args>),
    /// Write a commented configuration, from a few questions or from flags.
    Init(init::Args),
    /// Tell whether the configuration is right: all mistakes at once, each with its line.
    Check(check::Args),
    /// Tell whether the daemon is well, by its page: for whoever looks after a container.
    Health(health::Args),
    /// Find out which of the meters in the air is mine, by the number on its dial.
    Find(Box<find::Args>),
    /// Record IQ to SigMF: all of it, or the moments around frames that could not be decoded.
    Record(Box<record::Args>),
    /// Find out where in the band the meters are, and which gain suits them.
    Scan(Box<scan::Args>),
    /// Offer a dongle's samples to other programs by the protocol of rtl_tcp, while we hear its meters.
    ServeRtlTcp(serve_rtl_tcp::Args),
    /// Run as the configuration says, until told to stop.
    Run(run::Args),
    /// Make a recording from a scenario, and a file with the truth beside it.
    Synth(synth::Args),
    /// Make a telegram of its lines: line ends, CRC, encryption.
    SynthP1(synth_p1::Args),
    /// Hold a dongle for the daemon; not for people.
    #[cfg(feature = "rtlsdr")]
    #[command(hide = true)]
    CaptureRtlsdr { request: String },
    /// Read a file of what a wire carried, and print its readings as JSON.
    Decode(Box<decode::Args>),
    /// Ask meters on a wired M-Bus.
    Mbus(poll::MbusArgs),
    /// Ask a Kamstrup meter through its optical eye.
    Kamstrup(poll::KamstrupArgs),
    /// Run as an add-on of Home Assistant.
    #[command(hide = true)]
    Addon(addon::Args),
    /// Completions for a shell, to standard output.
    Completions(manual::Completions),
    /// Pages of the manual.
    #[command(hide = true)]
    Manual(manual::Manual),
    /// Show the main job: a made-up street, live, with an MQTT broker inside the process.
    Demo(demo::Args),
}

/// Does what was asked for.
///
/// # Errors
/// What a person can mend, in words.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    // A daemon tells what it does; a command that shows a table or lines tells only what is wrong.
    let quiet = !matches!(cli.command, Command::Run(_) | Command::Addon(_));
    let journal = log_to_stderr(cli.verbose, quiet);
    match cli.command {
        Command::Replay(args) => replay::run(*args),
        Command::Listen(args) => listen::run(&args),
        #[cfg(feature = "rtlsdr")]
        Command::Devices(args) => devices::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Init(args) => init::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Health(args) => health::run(&args),
        Command::Completions(args) => manual::completions(&args),
        Command::Manual(args) => manual::manual(&args),
        Command::Find(args) => find::run(&args),
        Command::Record(args) => record::run(&args),
        Command::Scan(args) => scan::run(&args),
        Command::ServeRtlTcp(args) => serve_rtl_tcp::run(&args),
        Command::Addon(args) => {
            addon::prepare(&args)?;
            run::run(&run::Args::with_config(args.config), journal)
        }
        Command::Run(args) => run::run(&args, journal),
        Command::Synth(args) => synth::run(&args),
        Command::SynthP1(args) => synth_p1::run(&args),
        #[cfg(feature = "rtlsdr")]
        Command::CaptureRtlsdr { request } => {
            crate::source::rtlsdr::capture::run(&request).map(|()| ExitCode::SUCCESS)
        }
        Command::Decode(args) => decode::run(&args),
        Command::Mbus(args) => poll::mbus(&args),
        Command::Kamstrup(args) => poll::kamstrup(&args),
        Command::Demo(args) => demo::run(&args),
    }
}

/// The log goes to standard error, and its last events to who looks at the page.
fn log_to_stderr(verbose: u8, quiet: bool) -> LogBuffer {
    use std::io::IsTerminal;
    use tracing_subscriber::EnvFilter;
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::util::SubscriberInitExt;
    let default = match verbose {
        0 if quiet => "warn",
        0 => "metertap=info,warn",
        1 => "metertap=debug,info",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let buffer = LogBuffer::default();
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .with(buffer.clone())
        .init();
    buffer
}
