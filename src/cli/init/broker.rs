//! Broker, Home Assistant and page in the conversation. The login is tried before it is written.

use crate::cli::init::answers::Answers;
use crate::cli::init::prompt::{Prompt, yes_or_no};
use crate::publish::MqttConfig;
use crate::publish::mqtt::{BrokerAddress, check};
use crate::runtime::Context;
use anyhow::Result;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// Port of the page, and those that are tried if another program has it: zigbee2mqtt's is 8080, too.
const PORTS: std::ops::RangeInclusive<u16> = 8080..=8089;

/// Asks for the broker until one accepts the connection, or the user wants it nevertheless.
pub(super) fn ask(answers: &mut Answers, prompt: &mut Prompt, context: &Context) -> Result<()> {
    while answers.mqtt.is_none() {
        let asked = prompt.optional(
            "\nMQTT broker, such as broker.lan or broker.lan:1883 (Enter: none, readings go to standard output)",
            broker,
        )?;
        let Some(mut config) = asked else { return Ok(()) };
        loop {
            let Err(reason) = try_login(&config, context) else {
                prompt.say("  The broker accepts the connection.")?;
                answers.mqtt = Some(config);
                break;
            };
            prompt.say(&format!("  {reason}"))?;
            let is_login = reason.contains("password") || reason.contains("authori");
            if is_login && prompt.yes("  Log in with user and password?", true)? {
                config.username = Some(prompt.line("  User")?);
                config.password = Some(prompt.secret("  Password")?.into());
                continue;
            }
            if prompt.yes("  Write it nevertheless? metertap tries until it is there", false)? {
                answers.mqtt = Some(config);
            }
            break;
        }
    }
    Ok(())
}

/// Asks whether Home Assistant is there, if there is a broker for it.
pub(super) fn ask_homeassistant(answers: &mut Answers, prompt: &mut Prompt) -> Result<()> {
    if answers.mqtt.is_some() && !answers.homeassistant {
        answers.homeassistant = prompt.yes(
            "\nShow the meters in Home Assistant, if it uses that broker?",
            true,
        )?;
    }
    Ok(())
}

/// Asks for the page. Its port is one that is free.
pub(super) fn ask_page(answers: &mut Answers, prompt: &mut Prompt) -> Result<()> {
    if !cfg!(feature = "web") {
        return Ok(());
    }
    let ip = prompt.parsed(
        "\nA page for the browser, with meters, use and reception? y: on this machine; all: also for phones and computers in your network; n: none [Y/all/n]",
        |answer| match answer.to_lowercase().as_str() {
            "all" => Ok(Some(Ipv4Addr::UNSPECIFIED)),
            answer => yes_or_no(answer, true)
                .map(|is_wanted| is_wanted.then_some(Ipv4Addr::LOCALHOST))
                .map_err(|error| format!("{error}; all opens it to your network")),
        },
    )?;
    let Some(ip) = ip else { return Ok(()) };
    let mut addresses = PORTS.map(|port| SocketAddr::from((ip, port)));
    answers.web = addresses.find(|address| TcpListener::bind(address).is_ok());
    if answers.web.is_none() {
        prompt.say("  Ports 8080 to 8089 are all in use: set listen in [web] by hand.")?;
    }
    Ok(())
}

/// Parses a host, a host with a port, or a URL.
fn broker(text: &str) -> Result<MqttConfig, String> {
    if text.contains("://") || text.contains('@') {
        let url = if text.contains("://") {
            text.to_owned()
        } else {
            format!("mqtt://{text}")
        };
        return MqttConfig::from_url(&url).map_err(|error| {
            format!("{error:#} (a password with # or @ in it: type the host alone, and user and password are asked)")
        });
    }
    text.parse::<BrokerAddress>().map(MqttConfig::new)
}

fn try_login(config: &MqttConfig, context: &Context) -> Result<(), String> {
    let broker = config.broker(None);
    let host = config.host.first().ok_or("a host is missing")?;
    let address = broker.display(host);
    let tried = context.io.block_on(check(&broker, host));
    tried.map_err(|error| format!("{address}: {error:#}"))
}
