//! Command line: one file per subcommand, and files of arguments and output that several share.

mod addon;
mod band_args;
mod check;
mod decode;
mod demo;
#[cfg(feature = "demo")]
mod demo_broker;
#[cfg(feature = "rtlsdr")]
mod devices;
mod dial_search;
mod doctor;
mod find;
mod find_telegrams;
mod free_port;
mod health;
mod hertz;
mod import;
mod init;
mod listen;
mod log_writer;
mod look_around;
mod manual;
mod message_args;
mod other_rates;
mod plugged;
mod poll;
mod reading_display;
mod record;
mod replay;
mod report_table;
mod rtlamr_flags;
mod run;
mod scan;
mod serve_rtl_tcp;
mod sigmf_recorder;
mod synth;
mod synth_p1;
mod synth_wire;
mod tuner_args;

pub use rtlamr_flags::translate;

use crate::cli::log_writer::LogWriter;
use crate::status::log_buffer::LogBuffer;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Receives utility meters by radio and by wire, and publishes their readings.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
pub struct Cli {
    /// Log more (twice: everything); RUST_LOG overrides this.
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Decode the meters in recorded IQ files.
    Replay(Box<replay::Args>),
    /// Show the meters received now: a live table, or lines. Needs no broker.
    Listen(Box<listen::Args>),
    /// List the dongles that are plugged in, and why one cannot be used.
    #[cfg(feature = "rtlsdr")]
    Devices(devices::Args),
    /// Examine receivers, wires and broker, and advise on problems.
    Doctor(Box<doctor::Args>),
    /// Write a commented configuration, from a few questions or from flags.
    Init(init::Args),
    /// Write a configuration from the settings of the program used before.
    Import(import::Args),
    /// Check the configuration: lists all mistakes at once, each with its line.
    Check(check::Args),
    /// Check the running daemon through its page, for container health checks.
    Health(health::Args),
    /// Find your meter among those received, by the number on its dial.
    Find(Box<find::Args>),
    /// Record IQ to SigMF: everything, or the moments around frames that could not be decoded.
    Record(Box<record::Args>),
    /// Find the center frequency and gain with the most meters.
    Scan(Box<scan::Args>),
    /// Share a dongle with other programs by the rtl_tcp protocol, and decode its meters.
    ServeRtlTcp(serve_rtl_tcp::Args),
    /// Run the daemon with a configuration, until it is stopped.
    Run(run::Args),
    /// Render a scenario as a recording, with a list of its messages.
    Synth(synth::Args),
    /// Build a P1 telegram from its lines: line ends, CRC, encryption.
    SynthP1(synth_p1::Args),
    /// Build an SML file, a TIC frame or an IEC 62056-21 readout from its values.
    SynthWire(synth_wire::Args),
    /// Hold a dongle for the daemon, which starts this process itself.
    #[cfg(feature = "rtlsdr")]
    #[command(hide = true)]
    CaptureRtlsdr { request: String },
    /// Decode a file of bytes captured from a wire, and print its readings as JSON.
    Decode(Box<decode::Args>),
    /// Poll meters on a wired M-Bus.
    Mbus(poll::MbusArgs),
    /// Poll a Kamstrup meter through its optical eye.
    Kamstrup(poll::KamstrupArgs),
    /// Read a meter once by IEC 62056-21 through its optical eye.
    D0(poll::D0Args),
    /// Run as a Home Assistant add-on.
    #[command(hide = true)]
    Addon(addon::Args),
    /// Print completions for a shell.
    Completions(manual::Completions),
    /// Write manual pages.
    #[command(hide = true)]
    Manual(manual::Manual),
    /// Demonstrate metertap: a simulated street, with an MQTT broker inside the process.
    Demo(demo::Args),
}

/// Runs the subcommand.
///
/// # Errors
/// If it fails; the message is for the user.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let Some(command) = cli.command else {
        return Ok(look_around::run());
    };
    // The daemon logs what it does; a command that prints a table or lines logs only warnings.
    let is_quiet = !matches!(command, Command::Run(_) | Command::Addon(_));
    // Lines on standard error would be written across a table; the table shows them itself.
    let shows_log = matches!(&command, Command::Listen(args) if args.shows_table());
    let journal = log_to_stderr(cli.verbose, is_quiet, !shows_log);
    match command {
        Command::Replay(args) => replay::run(*args),
        Command::Listen(args) => listen::run(&args, &journal),
        #[cfg(feature = "rtlsdr")]
        Command::Devices(args) => devices::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Init(args) => init::run(&args),
        Command::Import(args) => import::run(&args),
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
        Command::SynthWire(args) => synth_wire::run(&args),
        #[cfg(feature = "rtlsdr")]
        Command::CaptureRtlsdr { request } => {
            crate::source::rtlsdr::capture::run(&request).map(|()| ExitCode::SUCCESS)
        }
        Command::Decode(args) => decode::run(&args),
        Command::Mbus(args) => poll::mbus(&args),
        Command::Kamstrup(args) => poll::kamstrup(&args),
        Command::D0(args) => poll::d0(&args),
        Command::Demo(args) => demo::run(&args),
    }
}

/// Logs to standard error, if `prints_lines`, and to the returned buffer of the newest events, which the page shows.
fn log_to_stderr(verbose: u8, is_quiet: bool, prints_lines: bool) -> LogBuffer {
    use std::io::IsTerminal;
    use tracing_subscriber::EnvFilter;
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::util::SubscriberInitExt;
    let default = match verbose {
        // What rumqttc logs is logged here with its context.
        0 if is_quiet => "warn,rumqttc=off",
        0 => "metertap=info,warn,rumqttc=off",
        1 => "metertap=debug,info,rumqttc=off",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    // They log whole URLs, which may hold a token.
    let filter = ["ureq=info", "ureq_proto=info"]
        .into_iter()
        .filter_map(|directive| directive.parse().ok())
        .fold(filter, EnvFilter::add_directive);
    let buffer = LogBuffer::default();
    let lines = prints_lines.then(|| {
        tracing_subscriber::fmt::layer()
            .with_writer(|| LogWriter)
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
    });
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .with(buffer.clone())
        .init();
    buffer
}
