//! `metertap init`: writes a commented configuration, in a conversation or from flags.

mod answers;
mod broker;
mod keys;
mod prompt;
mod radios;
mod telegrams;
mod wires;

use crate::config::ConfigFile;
use crate::publish::MqttConfig;
use crate::runtime::{Clock, Context, Runtime};
use crate::source::wire::WireAddress;
use crate::source::{Address, Family};
use answers::{Answers, RadioAnswer, WireAnswer};
use anyhow::{Context as _, Result, bail};
use prompt::Prompt;
use std::io::{IsTerminal, Write, stdin, stdout};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Protocols of wires, as in the configuration.
const PROTOCOLS: [&str; 7] = ["p1", "dlms", "sml", "tic", "mbus", "kmp", "iec"];

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration to write. Default: that of the service if it is still the package's sample and this user may write it (sudo),
    /// otherwise ./metertap.toml.
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Broker: mqtt://[user:password@]host[:1883].
    #[arg(long, value_name = "URL")]
    mqtt: Option<String>,
    /// Receiver: rtlsdr, rtlsdr:SERIAL, rtl_tcp://host:port. May be given several times.
    #[arg(long, value_name = "SOURCE")]
    radio: Vec<Address>,
    /// Band of the receivers: 915 (ERT meters), 915-fsk (Orion, Hot Rod, Dialog 3G), 868, 433 or 169 (wireless M-Bus).
    #[arg(long, value_name = "MHZ", default_value = "915", requires = "radio")]
    band: Family,
    /// Wire: PROTOCOL=SOURCE, such as p1=/dev/serial/by-id/…; the protocol is p1, dlms, sml, tic, mbus, kmp or iec.
    #[arg(long, value_name = "WIRE", value_parser = parse_wire)]
    wire: Vec<(&'static str, WireAddress)>,
    /// Announce meters to Home Assistant.
    #[arg(long)]
    homeassistant: bool,
    /// Serve the page on this address and port, such as 0.0.0.0:8080.
    #[arg(long, value_name = "ADDRESS")]
    web: Option<SocketAddr>,
    /// Ask no questions, even on a terminal.
    #[arg(long)]
    no_questions: bool,
}

/// Parses `PROTOCOL=SOURCE`.
fn parse_wire(text: &str) -> Result<(&'static str, WireAddress), String> {
    let (protocol, source) = text
        .split_once('=')
        .ok_or("expected PROTOCOL=SOURCE, such as p1=/dev/ttyUSB0")?;
    let source = source.parse().map_err(|error| format!("{error}"))?;
    Ok((protocol_named(protocol)?, source))
}

/// The protocol of that name.
fn protocol_named(name: &str) -> Result<&'static str, String> {
    let wanted = name.trim().to_ascii_lowercase();
    let known = PROTOCOLS.into_iter().find(|protocol| *protocol == wanted);
    known.ok_or_else(|| format!("invalid protocol `{name}`: expected {}", PROTOCOLS.join(", ")))
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let sample = ConfigFile::untouched_sample().filter(|_| args.out.is_none());
    let out = args
        .out
        .clone()
        .or_else(|| sample.clone())
        .unwrap_or_else(|| "metertap.toml".into());
    let shown = out.display();
    if sample.is_none() && out.exists() {
        bail!("{shown} is there already: use --out to write another file");
    }
    let wires = args.wire.iter().map(|(protocol, source)| {
        let mut wire = WireAnswer::new(protocol, source.clone());
        // Meters on a bus need an address; a single one often has the first.
        wire.addresses
            .extend((*protocol == "mbus").then(|| "p1".to_owned()));
        wire.model = (*protocol == "kmp").then(|| "403".to_owned());
        wire
    });
    let radios = args.radio.iter().map(|source| RadioAnswer {
        source: source.clone(),
        family: args.band,
    });
    let mut answers = Answers {
        mqtt: args.mqtt.as_deref().map(MqttConfig::from_url).transpose()?,
        radios: radios.collect(),
        wires: wires.collect(),
        meters: Vec::new(),
        homeassistant: args.homeassistant,
        web: args.web,
    };
    if stdin().is_terminal() && !args.no_questions {
        let runtime = Runtime::start(Clock::system())?;
        converse(
            &mut answers,
            &mut Prompt::new(&mut stdin().lock(), &mut stdout()),
            &runtime.context,
        )?;
    }
    if answers.is_deaf() {
        bail!(
            "nothing would be heard: expected a receiver (--radio rtlsdr) or a wire (--wire p1=/dev/ttyUSB0)"
        );
    }
    if answers.homeassistant && answers.mqtt.is_none() {
        bail!("--homeassistant needs --mqtt: announcements go to the broker");
    }
    let text = answers.text();
    let written = if sample.is_some() {
        // The sample's owner and permissions let the service read it.
        std::fs::write(&out, text)
    } else {
        write(&out, &text)
    };
    written.with_context(|| shown.to_string())?;
    println!("\n{shown} is written. Next:\n");
    if sample.is_some() {
        println!("  sudo metertap doctor\n  sudo systemctl enable --now metertap");
    } else {
        println!("  metertap doctor -c {shown}\n  metertap run -c {shown}");
    }
    if let Some(page) = answers.web {
        println!("  open http://{}/", browsable(page));
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks for everything that the flags have left open.
fn converse(answers: &mut Answers, prompt: &mut Prompt, context: &Context) -> Result<()> {
    prompt
        .say("Enter takes what is offered in brackets. Nothing is written before the end; Ctrl-C leaves.")?;
    if answers.is_deaf() {
        radios::ask(answers, prompt)?;
        wires::ask(answers, prompt, context)?;
    }
    if answers.meters.is_empty() {
        radios::ask_meter(answers, prompt)?;
        telegrams::ask_meter(answers, prompt)?;
    }
    broker::ask(answers, prompt, context)?;
    broker::ask_homeassistant(answers, prompt)?;
    if answers.web.is_none() {
        broker::ask_page(answers, prompt)?;
    }
    Ok(())
}

/// Writes a new file that only its owner may read: it may hold a password or a key.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .write(true)
        .create_new(true)
        .open(path)?
        .write_all(text.as_bytes())
}

/// Address for a browser: this machine's name, if the page listens on all addresses.
fn browsable(page: SocketAddr) -> String {
    if !page.ip().is_unspecified() {
        return page.to_string();
    }
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{name}:{}", page.port())
}
