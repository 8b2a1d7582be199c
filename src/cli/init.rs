//! `metertap init`: writes a commented configuration from flags and answers to questions.

use crate::config::toml_text::quoted;
use crate::publish::MqttConfig;
use crate::source::Address;
use crate::source::wire::WireAddress;
use anyhow::{Context, Result, bail};
use std::fmt::Write as _;
use std::io::{IsTerminal, Write, stdin, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration to write.
    #[arg(short, long, value_name = "FILE", default_value = "metertap.toml")]
    out: PathBuf,
    /// Broker: mqtt://[user:password@]host[:1883].
    #[arg(long, value_name = "URL")]
    mqtt: Option<String>,
    /// Receiver: rtlsdr, rtlsdr:SERIAL, rtl_tcp://host:port.
    #[arg(long, value_name = "SOURCE")]
    radio: Option<Address>,
    /// Wire: PROTOCOL=SOURCE, such as p1=/dev/serial/by-id/…; the protocol is p1, dlms, sml, tic, mbus, kmp or iec.
    #[arg(long, value_name = "WIRE", value_parser = parse_wire)]
    wire: Vec<(String, WireAddress)>,
    /// Announce meters to Home Assistant.
    #[arg(long)]
    homeassistant: bool,
    /// Ask no questions, even on a terminal.
    #[arg(long)]
    no_questions: bool,
}

/// Parses `PROTOCOL=SOURCE`.
fn parse_wire(text: &str) -> Result<(String, WireAddress), String> {
    let (protocol, source) = text
        .split_once('=')
        .ok_or("expected PROTOCOL=SOURCE, such as p1=/dev/ttyUSB0")?;
    if !["p1", "dlms", "sml", "tic", "mbus", "kmp", "iec"].contains(&protocol) {
        return Err(format!(
            "invalid protocol `{protocol}`: expected p1, dlms, sml, tic, mbus, kmp or iec"
        ));
    }
    let source = source.parse().map_err(|error| format!("{error}"))?;
    Ok((protocol.into(), source))
}

/// Contents of the configuration.
struct Answers {
    mqtt: Option<MqttConfig>,
    radio: Option<Address>,
    wires: Vec<(String, WireAddress)>,
    homeassistant: bool,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let shown = args.out.display();
    if args.out.exists() {
        bail!("{shown} is there already: use --out to write another file");
    }
    let mut answers = Answers {
        mqtt: args.mqtt.as_deref().map(MqttConfig::from_url).transpose()?,
        radio: args.radio.clone(),
        wires: args.wire.clone(),
        homeassistant: args.homeassistant,
    };
    if stdin().is_terminal() && !args.no_questions {
        answers.ask()?;
    }
    if answers.radio.is_none() && answers.wires.is_empty() {
        bail!(
            "nothing would be heard: expected a receiver (--radio rtlsdr) or a wire (--wire p1=/dev/ttyUSB0)"
        );
    }
    if answers.homeassistant && answers.mqtt.is_none() {
        bail!("--homeassistant needs --mqtt: announcements go to the broker");
    }
    // Only the owner may read it: it may hold a password.
    let mut options = std::fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.write(true).create_new(true).open(&args.out);
    let written = file.and_then(|mut file| file.write_all(answers.text().as_bytes()));
    written.with_context(|| shown.to_string())?;
    println!(
        "{shown} is written. Next: metertap check -c {shown}, metertap doctor -c {shown}, metertap run -c {shown}"
    );
    Ok(ExitCode::SUCCESS)
}

impl Answers {
    /// Asks for everything that the flags have left open.
    fn ask(&mut self) -> Result<()> {
        if self.mqtt.is_none() {
            let url =
                question("MQTT broker (mqtt://user:password@host, empty: JSON lines on standard output)")?;
            self.mqtt = Some(url)
                .filter(|url| !url.is_empty())
                .map(|url| MqttConfig::from_url(&url))
                .transpose()?;
        }
        if self.radio.is_none() && self.wires.is_empty() {
            let radio = question("Receiver (rtlsdr, rtl_tcp://host:1234, empty: none)")?;
            self.radio = Some(radio)
                .filter(|radio| !radio.is_empty())
                .map(|radio| radio.parse())
                .transpose()?;
            let port = question(
                "Wire (p1=/dev/serial/by-id/…, dlms=…, sml=…, tic=…, mbus=…, kmp=…, iec=…, empty: none)",
            )?;
            if !port.is_empty() {
                self.wires.push(parse_wire(&port).map_err(anyhow::Error::msg)?);
            }
        }
        if self.mqtt.is_some() && !self.homeassistant {
            self.homeassistant = question("Home Assistant on that broker? (y/n)")?.starts_with(['y', 'Y']);
        }
        Ok(())
    }

    fn text(&self) -> String {
        let mut text = String::from(
            "# metertap. `metertap check` lists mistakes; keys that are not written here have defaults.\n",
        );
        match &self.mqtt {
            None => {
                text += "\n# [mqtt]                 # without it: JSON lines on standard output\n# host = \"broker.lan\"\n";
            }
            Some(mqtt) => {
                let host = mqtt.host.first().map(ToString::to_string).unwrap_or_default();
                let _ = write!(text, "\n[mqtt]\nhost = {}\n", quoted(&host));
                if let Some(username) = &mqtt.username {
                    let password = mqtt.password.as_ref().map_or("", |password| password.reveal());
                    let _ = write!(
                        text,
                        "username = {}\npassword = {}\n",
                        quoted(username),
                        quoted(password)
                    );
                }
                text += "# retain = \"auto\"        # the broker keeps the last reading of meters that transmit rarely; or true, false\n\
                         # spool = \"/var/lib/metertap/spool.redb\"   # readings wait here while the broker is away\n";
            }
        }
        if self.homeassistant {
            text += "\n[homeassistant]          # our meters are announced to it\n";
        }
        if let Some(radio) = &self.radio {
            let _ = write!(text, "\n[[radio]]\nsource = {}\n", quoted(&radio.to_string()));
            if !matches!(radio, Address::File(_)) {
                text += "# gain = \"best\"          # measured at start; or a number in dB, or \"auto\"\n";
            }
        }
        for (protocol, source) in &self.wires {
            let _ = write!(
                text,
                "\n[[wire]]\nprotocol = \"{protocol}\"\nsource = {}\n",
                quoted(&source.to_string())
            );
            text += match protocol.as_str() {
                "mbus" => "addresses = [\"p1\"]       # `metertap mbus scan` finds them\n",
                "kmp" => "model = \"403\"            # 302, 402, 403, 601, 602, 603, 382\n",
                "sml" | "tic" | "iec" => "",
                _ => "# key_file = \"meter.key\" # where the grid operator encrypts\n",
            };
        }
        text += "\n# Our meters. Without any, all radio meters are published. Wired meters need no section.\n\
                 # `metertap find --reading 48213` finds yours.\n\
                 # [[meter]]\n# id = 12345678\n# name = \"Water\"\n# unit = \"gal\"\n# scale = 0.1\n";
        text
    }
}

fn question(text: &str) -> Result<String> {
    print!("{text}: ");
    stdout().flush()?;
    let mut answer = String::new();
    stdin().read_line(&mut answer)?;
    Ok(answer.trim().to_owned())
}
