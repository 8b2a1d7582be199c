//! `metertap mbus`, `metertap kamstrup` and `metertap d0`: poll meters once, and print their reports.

use crate::cli::report_table::write_table;
use crate::config;
use crate::port::kmp_poll::KnownMeter;
use crate::port::mbus_poll::Address;
use crate::port::transaction::Transaction;
use crate::port::{iec_poll, kmp_poll, mbus_answer_time, mbus_poll};
use crate::source::wire::{Framing, Line, Wire, WireAddress, open};
use anyhow::{Context, Result, bail};
use metertap_decode::report::Report;
use metertap_decode::time::Zone;
use std::io::{IsTerminal, Write, stdout};
use std::process::ExitCode;
use std::time::Duration;
use tokio_serial::DataBits;

#[derive(Debug, clap::Args)]
pub struct MbusArgs {
    #[command(subcommand)]
    command: MbusCommand,
}

#[derive(Debug, clap::Subcommand)]
enum MbusCommand {
    /// Find the meters on a bus by primary address (p1 to p250), or by secondary address.
    Scan(ScanArgs),
    /// Read one meter by primary address (p5) or by its eight digits.
    Read(ReadArgs),
}

#[derive(Debug, clap::Args)]
struct PortArgs {
    /// Port: /dev/serial/by-id/… or tcp://host:port.
    #[arg(long)]
    source: WireAddress,
    /// Bits per second.
    #[arg(long)]
    baud: Option<u32>,
    /// Data bits, parity and stop bits, such as 8E1.
    #[arg(long)]
    framing: Option<Framing>,
    /// Timeout of a response in milliseconds.
    #[arg(long = "patience", value_name = "MS")]
    timeout_ms: Option<u64>,
    /// Print JSON lines instead of tables; the default if standard output is no terminal.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct ScanArgs {
    #[command(flatten)]
    port: PortArgs,
    /// Search secondary addresses: slower, but finds meters that share a primary address.
    #[arg(long)]
    numbers: bool,
}

#[derive(Debug, clap::Args)]
struct ReadArgs {
    #[command(flatten)]
    port: PortArgs,
    /// Primary address (p5) or eight digits.
    address: Address,
}

#[derive(Debug, clap::Args)]
pub struct KamstrupArgs {
    #[command(subcommand)]
    command: KamstrupCommand,
}

#[derive(Debug, clap::Subcommand)]
enum KamstrupCommand {
    /// Read the registers of a meter.
    Dump(DumpArgs),
}

#[derive(Debug, clap::Args)]
struct DumpArgs {
    #[command(flatten)]
    port: PortArgs,
    /// Model, which determines the registers: 302, 402, 403, 601, 602, 603 or 382.
    #[arg(long)]
    model: Option<String>,
    /// Only these registers, by name or number, comma-separated.
    #[arg(long, value_delimiter = ',')]
    registers: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub struct D0Args {
    #[command(subcommand)]
    command: D0Command,
}

#[derive(Debug, clap::Subcommand)]
enum D0Command {
    /// Print what a meter sends: its reading, or its lines with --raw. Drains the battery of a heat meter.
    Dump(D0DumpArgs),
}

#[derive(Debug, clap::Args)]
struct D0DumpArgs {
    /// Port: /dev/serial/by-id/… or tcp://host:port.
    #[arg(long)]
    source: WireAddress,
    /// Data bits, parity and stop bits, such as 7E1.
    #[arg(long, default_value = "7E1")]
    framing: Framing,
    /// Time zone of the meter, whose clock shows local time.
    #[arg(long, value_name = "ZONE", default_value = "Europe/Amsterdam")]
    zone: Zone,
    /// Print the identification and the data lines as sent.
    #[arg(long)]
    raw: bool,
    /// Print JSON lines instead of tables; the default if standard output is no terminal.
    #[arg(long)]
    json: bool,
}

pub fn d0(args: &D0Args) -> Result<ExitCode> {
    let D0Command::Dump(dump) = &args.command;
    let line = Line {
        baud: 300,
        framing: dump.framing,
    };
    let (readout, report) = poll_once(&dump.source, line, async |wire| {
        Ok(iec_poll::read(wire, &dump.zone, &mut iec_poll::KnownMeter::default()).await?)
    })?;
    if dump.raw {
        let identification = &readout.identification;
        let speed = char::from(identification.speed);
        println!("/{}{speed}{}", identification.manufacturer, identification.model);
        println!("{}", readout.data.replace('\r', "").trim());
        return Ok(ExitCode::SUCCESS);
    }
    let json = dump.json || !stdout().is_terminal();
    ReportPrinter { json }.print(&report.id.clone(), &report);
    Ok(ExitCode::SUCCESS)
}

pub fn mbus(args: &MbusArgs) -> Result<ExitCode> {
    let line = Line::even(2400, DataBits::Eight);
    // A scan asks hundreds of addresses at which nobody is: it waits little longer than the standard says.
    let scan_timeout = |baud| mbus_answer_time(Some(baud)) + Duration::from_millis(160);
    let read_timeout = |baud| mbus_answer_time(Some(baud)) + Duration::from_millis(800);
    match &args.command {
        MbusCommand::Scan(scan) => scan.port.run(line, scan_timeout, async |transaction, out| {
            let mut found = 0;
            if scan.numbers {
                mbus_poll::scan_secondary(transaction, |report| {
                    found += 1;
                    out.print(&report.id.clone(), &report);
                })
                .await?;
            } else {
                mbus_poll::scan_primary(transaction, |address, answer| match answer {
                    Ok(report) => {
                        found += 1;
                        out.print(&address.to_string(), &report);
                    }
                    Err(error) => eprintln!("metertap: {error}"),
                })
                .await?;
            }
            if found == 0 {
                bail!("no meter responded: is the level converter powered, and the speed correct (--baud 300, 9600)?");
            }
            Ok(())
        }),
        MbusCommand::Read(read) => read.port.run(line, read_timeout, async |transaction, out| {
            let report = mbus_poll::read(transaction, read.address).await?;
            out.print(&read.address.to_string(), &report);
            Ok(())
        }),
    }
}

pub fn kamstrup(args: &KamstrupArgs) -> Result<ExitCode> {
    let KamstrupCommand::Dump(dump) = &args.command;
    let registers = config::registers(dump.model.as_deref(), &dump.registers).map_err(anyhow::Error::msg)?;
    dump.port.run(
        Line::two_stop_bits(1200),
        |_| Duration::from_secs(2),
        async |transaction, out| {
            let report = kmp_poll::read(transaction, &registers, &mut KnownMeter::default()).await?;
            out.print(&report.id.clone(), &report);
            Ok(())
        },
    )
}

impl PortArgs {
    /// Opens the port and polls with the defaults of a protocol: line settings, and timeout of a response by the speed.
    fn run(
        &self,
        line: Line,
        timeout: impl Fn(u32) -> Duration,
        poll: impl AsyncFnOnce(&mut Transaction, &mut ReportPrinter) -> Result<()>,
    ) -> Result<ExitCode> {
        let line = Line {
            baud: self.baud.unwrap_or(line.baud),
            framing: self.framing.unwrap_or(line.framing),
        };
        let mut out = ReportPrinter {
            json: self.json || !stdout().is_terminal(),
        };
        poll_once(&self.source, line, async |wire| {
            let mut transaction = Transaction {
                wire,
                timeout: self.timeout_ms.map_or(timeout(line.baud), Duration::from_millis),
            };
            poll(&mut transaction, &mut out).await
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Opens a port with these line settings and polls it.
///
/// # Errors
/// Returns an error that names the port if it cannot be opened, is a recording, or `poll` fails.
fn poll_once<T>(
    source: &WireAddress,
    line: Line,
    poll: impl AsyncFnOnce(&mut Wire) -> Result<T>,
) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime
        .block_on(async {
            let mut wire = open(source, line).await?;
            if wire.ends {
                bail!("is a recording, which cannot be polled: `metertap decode` reads it");
            }
            poll(&mut wire).await
        })
        .with_context(|| source.to_string())
}

/// Printer of reports: tables for people, JSON lines for programs.
struct ReportPrinter {
    json: bool,
}

impl ReportPrinter {
    /// Prints a report; in a table, below the address that was polled.
    fn print(&mut self, address: &str, report: &Report) {
        let mut to = stdout().lock();
        let written = if self.json {
            serde_json::to_string(report)
                .map_err(std::io::Error::from)
                .and_then(|line| writeln!(to, "{line}"))
        } else {
            writeln!(to, "{address}").and_then(|()| write_table(&mut to, report))
        };
        // A reader that closes the pipe, as `| head` does, is no failure.
        let _ = written.and_then(|()| to.flush());
    }
}
