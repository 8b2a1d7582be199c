//! `metertap init`: a commented configuration, from a few questions or from flags.

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
    /// File to write.
    #[arg(short, long, value_name = "FILE", default_value = "metertap.toml")]
    out: PathBuf,
    /// The broker: mqtt://[user:password@]host[:1883].
    #[arg(long, value_name = "URL")]
    mqtt: Option<String>,
    /// A receiver: rtlsdr, rtlsdr:SERIAL, rtl_tcp://host:port.
    #[arg(long, value_name = "SOURCE")]
    radio: Option<Address>,
    /// A wire: PROTOCOL=SOURCE, as in p1=/dev/serial/by-id/…; p1, dlms, mbus or kmp.
    #[arg(long, value_name = "WIRE", value_parser = wire)]
    wire: Vec<(String, WireAddress)>,
    /// Announce our meters to Home Assistant.
    #[arg(long)]
    homeassistant: bool,
    /// Ask nothing, even on a terminal.
    #[arg(long)]
    no_questions: bool,
}

fn wire(text: &str) -> Result<(String, WireAddress), String> {
    let (protocol, source) = text.split_once('=').ok_or("write p1=/dev/ttyUSB0")?;
    if !["p1", "dlms", "mbus", "kmp"].contains(&protocol) {
        return Err(format!("`{protocol}` is no protocol: use p1, dlms, mbus or kmp"));
    }
    let source = source.parse().map_err(|error| format!("{error}"))?;
    Ok((protocol.into(), source))
}

/// What the file is to say.
struct Answers {
    mqtt: Option<MqttConfig>,
    radio: Option<Address>,
    wires: Vec<(String, WireAddress)>,
    homeassistant: bool,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let shown = args.out.display();
    if args.out.exists() {
        bail!("{shown} is there already: --out writes another file");
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
        bail!("nothing would be heard: --radio rtlsdr, or --wire p1=/dev/ttyUSB0");
    }
    if answers.homeassistant && answers.mqtt.is_none() {
        bail!("--homeassistant says nothing without --mqtt");
    }
    // It may hold a password.
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
    /// What the flags have left open.
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
            let port = question("Wire (p1=/dev/serial/by-id/…, dlms=…, mbus=…, kmp=…, empty: none)")?;
            if !port.is_empty() {
                self.wires.push(wire(&port).map_err(anyhow::Error::msg)?);
            }
        }
        if self.mqtt.is_some() && !self.homeassistant {
            self.homeassistant = question("Home Assistant on that broker? (y/n)")?.starts_with(['y', 'Y']);
        }
        Ok(())
    }

    fn text(&self) -> String {
        let mut text = String::from(
            "# metertap. `metertap check` tells every mistake; what is not written here has a default.\n",
        );
        match &self.mqtt {
            None => {
                text += "\n# [mqtt]                 # without it: JSON lines on standard output\n# host = \"broker.lan\"\n"
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
                text += "# retain = \"auto\"        # the broker keeps the last reading of meters that speak seldom; or true, false\n\
                         # spool = \"/var/lib/metertap/spool.redb\"   # readings wait here while the broker is away\n";
            }
        }
        if self.homeassistant {
            text += "\n[homeassistant]          # our meters appear there by themselves\n";
        }
        if let Some(radio) = &self.radio {
            let _ = write!(text, "\n[[radio]]\nsource = {}\n", quoted(&radio.to_string()));
            if !matches!(radio, Address::File(_)) {
                text += "# gain = \"best\"          # found by trying; or dB, or \"auto\"\n";
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
                _ => "# key_file = \"meter.key\" # where the grid operator encrypts\n",
            };
        }
        text += "\n# Our meters. Without any, all that the radio hears is published; those of a wire are ours by themselves.\n\
                 # `metertap find --reading 48213` tells which one is yours.\n\
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
