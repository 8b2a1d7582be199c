//! `metertap mbus scan`, `metertap kamstrup dump`: what is there to be asked?

use crate::cli::report_table::table;
use crate::config;
use crate::port::kmp_poll::KnownMeter;
use crate::port::mbus_poll::Address;
use crate::port::transaction::Transaction;
use crate::port::{kmp_poll, mbus_poll};
use crate::source::wire::{Framing, Line, WireAddress, open};
use anyhow::{Context, Result, anyhow, bail};
use metertap_decode::report::Report;
use std::io::{IsTerminal, Write, stdout};
use std::process::ExitCode;
use std::time::Duration;
use tokio_serial::DataBits;

#[derive(Debug, clap::Args)]
pub struct MbusArgs {
    #[command(subcommand)]
    what: Mbus,
}

#[derive(Debug, clap::Subcommand)]
enum Mbus {
    /// Find the meters on a bus: by their places (p1 to p250), or by their numbers.
    Scan(Scan),
    /// Read one meter: p5, or the eight digits on it.
    Read(Read),
}

#[derive(Debug, clap::Args)]
struct Port {
    /// /dev/serial/by-id/… or tcp://host:port.
    #[arg(long)]
    source: WireAddress,
    /// Speed of the line.
    #[arg(long)]
    baud: Option<u32>,
    /// Data bits, parity, stop bits: 8E1.
    #[arg(long)]
    framing: Option<Framing>,
    /// How long an answer may let us wait, in milliseconds.
    #[arg(long, value_name = "MS")]
    patience: Option<u64>,
    /// JSON lines instead of a table; the default where standard output is no terminal.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Scan {
    #[command(flatten)]
    port: Port,
    /// Look for numbers instead of places: slower, and finds meters that share a place.
    #[arg(long)]
    numbers: bool,
}

#[derive(Debug, clap::Args)]
struct Read {
    #[command(flatten)]
    port: Port,
    /// p5, or eight digits.
    address: Address,
}

#[derive(Debug, clap::Args)]
pub struct KamstrupArgs {
    #[command(subcommand)]
    what: Kamstrup,
}

#[derive(Debug, clap::Subcommand)]
enum Kamstrup {
    /// Read a meter through its optical eye.
    Dump(Dump),
}

#[derive(Debug, clap::Args)]
struct Dump {
    #[command(flatten)]
    port: Port,
    /// 302, 402, 403, 601, 602, 603 or 382: which registers it has.
    #[arg(long)]
    model: Option<String>,
    /// These registers, by name or number.
    #[arg(long, value_delimiter = ',')]
    registers: Vec<String>,
}

pub fn mbus(args: &MbusArgs) -> Result<ExitCode> {
    let line = Line::even(2400, DataBits::Eight);
    match &args.what {
        Mbus::Scan(scan) => scan.port.talk(line, 350, async |talk, out| {
            let mut found = 0;
            if scan.numbers {
                mbus_poll::scan_secondary(talk, |report| {
                    found += 1;
                    out.take(&report.id.clone(), &report);
                })
                .await?;
            } else {
                mbus_poll::scan_primary(talk, |address, answer| match answer {
                    Ok(report) => {
                        found += 1;
                        out.take(&address.to_string(), &report);
                    }
                    Err(error) => eprintln!("metertap: {error}"),
                })
                .await?;
            }
            if found == 0 {
                bail!("no meter answers: is the level converter powered, and the speed right (--baud 300, 9600)?");
            }
            Ok(())
        }),
        Mbus::Read(read) => read.port.talk(line, 1000, async |talk, out| {
            let report = mbus_poll::read(talk, read.address).await?;
            out.take(&read.address.to_string(), &report);
            Ok(())
        }),
    }
}

pub fn kamstrup(args: &KamstrupArgs) -> Result<ExitCode> {
    let Kamstrup::Dump(dump) = &args.what;
    let registers = config::registers(dump.model.as_deref(), &dump.registers).map_err(anyhow::Error::msg)?;
    dump.port
        .talk(Line::two_stop_bits(1200), 2000, async |talk, out| {
            let report = kmp_poll::read(talk, &registers, &mut KnownMeter::default()).await?;
            out.take(&report.id.clone(), &report);
            Ok(())
        })
}

impl Port {
    fn talk(
        &self,
        line: Line,
        patience_ms: u64,
        ask: impl AsyncFnOnce(&mut Transaction, &mut Out) -> Result<()>,
    ) -> Result<ExitCode> {
        let line = Line {
            baud: self.baud.unwrap_or(line.baud),
            framing: self.framing.unwrap_or(line.framing),
        };
        let mut out = Out {
            json: self.json || !stdout().is_terminal(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime
            .block_on(async {
                let mut wire = open(&self.source, line).await?;
                if wire.ends {
                    return Err(anyhow!(
                        "is a recording, which cannot be asked: metertap decode reads it"
                    ));
                }
                let mut talk = Transaction {
                    wire: &mut wire,
                    timeout: Duration::from_millis(self.patience.unwrap_or(patience_ms)),
                };
                ask(&mut talk, &mut out).await
            })
            .with_context(|| self.source.to_string())?;
        Ok(ExitCode::SUCCESS)
    }
}

/// A table for eyes, lines for programs.
struct Out {
    json: bool,
}

impl Out {
    fn take(&mut self, asked: &str, report: &Report) {
        let mut to = stdout().lock();
        let written = if self.json {
            serde_json::to_string(report)
                .map_err(std::io::Error::from)
                .and_then(|line| writeln!(to, "{line}"))
        } else {
            writeln!(to, "{asked}").and_then(|()| table(&mut to, report))
        };
        // Who reads has had enough.
        let _ = written.and_then(|()| to.flush());
    }
}
