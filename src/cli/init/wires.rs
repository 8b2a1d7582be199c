//! Wires in the conversation: each port is listened to, and what is there decides what else is asked.

use crate::cli::init::answers::{Answers, WireAnswer};
use crate::cli::init::keys::ask_key;
use crate::cli::init::prompt::Prompt;
use crate::cli::init::protocol_named;
use crate::cli::plugged::serial_ports;
use crate::config::registers;
use crate::port::mbus_poll::Address;
use crate::port::{Finding, PortOptions, identify, probe};
use crate::runtime::Context;
use crate::source::wire::WireAddress;
use anyhow::Result;
use std::time::Duration;

/// Longer than any meter that pushes pauses, those aside that send every minute or less often.
const WAIT: Duration = Duration::from_secs(11);

/// Listens to all serial ports, and asks what to do with each; then for further wires.
pub(super) fn ask(answers: &mut Answers, prompt: &mut Prompt, context: &Context) -> Result<()> {
    let ports = serial_ports();
    if !ports.is_empty() {
        prompt.say(&format!(
            "\nListening to {} serial port{}; a meter that sends is recognized within seconds, silence takes {} s …",
            ports.len(),
            if ports.len() == 1 { "" } else { "s" },
            WAIT.as_secs()
        ))?;
    }
    let addresses = ports.into_iter().map(WireAddress::Path).collect();
    for (address, protocol, finding) in listen(addresses, context) {
        prompt.say(&format!("\n{address}"))?;
        take(answers, prompt, context, address, protocol, &finding)?;
    }
    while let Some(address) = prompt.optional(
        "\nAnother wire, such as tcp://bridge.lan:2001 (Enter: none)",
        |text| text.parse::<WireAddress>().map_err(|error| error.to_string()),
    )? {
        prompt.say(&format!("Listening to {address} …"))?;
        for (address, protocol, finding) in listen(vec![address], context) {
            take(answers, prompt, context, address, protocol, &finding)?;
        }
    }
    Ok(())
}

/// Listens to all of them side by side.
fn listen(
    addresses: Vec<WireAddress>,
    context: &Context,
) -> Vec<(WireAddress, Option<&'static str>, Finding)> {
    let tasks: Vec<_> = addresses
        .into_iter()
        .map(|address| {
            context.io.spawn(async move {
                let (protocol, finding) = identify(&address, WAIT).await;
                (address, protocol, finding)
            })
        })
        .collect();
    let results = tasks.into_iter().map(|task| context.io.block_on(task));
    results.filter_map(Result::ok).collect()
}

fn take(
    answers: &mut Answers,
    prompt: &mut Prompt,
    context: &Context,
    address: WireAddress,
    protocol: Option<&'static str>,
    finding: &Finding,
) -> Result<()> {
    match (finding, protocol) {
        (Finding::Report(report, line), Some(protocol)) => {
            let at = line.map_or_else(String::new, |line| format!(" at {line}"));
            prompt.say(&format!(
                "  sends {protocol}{at}: meter {}, {} values",
                report.id,
                report.reading.0.len()
            ))?;
            if prompt.yes("  Read it?", true)? {
                answers.wires.push(WireAnswer::new(protocol, address));
            }
        }
        (Finding::Refused(kind, text), Some(protocol)) => {
            prompt.say(&format!("  sends {protocol}: {text}"))?;
            if !prompt.yes("  Read it?", true)? {
                return Ok(());
            }
            let mut wire = WireAnswer::new(protocol, address);
            if *kind == "no_key" {
                ask_right_key(&mut wire, prompt, context)?;
            }
            answers.wires.push(wire);
        }
        (Finding::Closed(reason), _) => prompt.say(&format!("  cannot be opened: {reason}"))?,
        (finding, _) => {
            let what = match finding {
                Finding::NotUnderstood(bytes, _) => {
                    format!("sends something ({bytes} bytes), but nothing that is understood")
                }
                _ => "sends nothing by itself".into(),
            };
            prompt.say(&format!("  {what}"))?;
            ask_protocol(answers, prompt, address)?;
        }
    }
    Ok(())
}

/// For a port that says nothing: a meter may have to be asked, or sends once in a quarter of an hour.
fn ask_protocol(answers: &mut Answers, prompt: &mut Prompt, address: WireAddress) -> Result<()> {
    let protocol = prompt.optional(
        "  Which protocol? mbus, kmp and iec meters are asked; p1, dlms, sml and tic send (Enter: leave it out)",
        protocol_named,
    )?;
    let Some(protocol) = protocol else {
        return Ok(());
    };
    let mut wire = WireAnswer::new(protocol, address);
    match protocol {
        "mbus" => {
            wire.addresses = prompt.parsed(
                "  Addresses of the meters: p1, p2 … or the eight digits printed on them; `metertap mbus scan` finds them [p1]",
                addresses,
            )?;
        }
        "kmp" => {
            wire.model = prompt.optional(
                "  Model: 302, 402, 403, 601, 602, 603 or 382 (Enter: unknown)",
                |text| registers(Some(text), &[]).map(|_| text.to_owned()),
            )?;
        }
        "p1" | "dlms" => ask_keys(&mut wire, prompt)?,
        _ => {}
    }
    answers.wires.push(wire);
    Ok(())
}

fn addresses(text: &str) -> Result<Vec<String>, String> {
    let text = if text.is_empty() { "p1" } else { text };
    let words: Vec<String> = text
        .split([',', ' '])
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    for word in &words {
        word.parse::<Address>().map_err(|error| error.to_string())?;
    }
    Ok(words)
}

/// Asks for the keys until a telegram decodes with them, or the user wants them nevertheless.
fn ask_right_key(wire: &mut WireAnswer, prompt: &mut Prompt, context: &Context) -> Result<()> {
    loop {
        ask_keys(wire, prompt)?;
        let Some(port) = wire.key.as_ref().and_then(|_| wire.port()) else {
            return Ok(());
        };
        prompt.say("  Trying it with the next telegram …")?;
        match context.io.block_on(probe(&port, &PortOptions::default(), WAIT)) {
            Finding::Report(report, _) => {
                let values = report.reading.0.len();
                return prompt.say(&format!(
                    "  The key is right: meter {}, {values} values",
                    report.id
                ));
            }
            Finding::Refused(_, text) => prompt.say(&format!("  {text}"))?,
            _ => return prompt.say("  No telegram came meanwhile: `metertap doctor` tries the key later."),
        }
        if !prompt.yes("  Type the key again?", true)? {
            return Ok(());
        }
    }
}

fn ask_keys(wire: &mut WireAnswer, prompt: &mut Prompt) -> Result<()> {
    wire.key = ask_key("  Key from the grid operator", prompt)?;
    wire.auth_key = match &wire.key {
        Some(_) => ask_key("  Authentication key, if the letter has a second one", prompt)?,
        None => None,
    };
    Ok(())
}
