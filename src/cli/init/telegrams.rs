//! Wireless M-Bus meters in the conversation: one's own are known by the number that is printed on them.

use crate::cli::init::answers::{Answers, MeterAnswer};
use crate::cli::init::keys::ask_key;
use crate::cli::init::prompt::Prompt;
use crate::cli::init::radios::{SEARCH, live, receive};
use crate::daemon::event_stream::{Event, EventStream};
use crate::receiver::RadioOptions;
use crate::runtime::{Clock, Runtime};
use crate::source::{Family, Live};
use anyhow::Result;
use metertap_decode::wmbus::{Decoder, KeyRing, Telegram, report};
use metertap_dsp::Trust;
use std::collections::BTreeSet;

/// Meters whose numbers are remembered, to say how many were heard.
const MAX_METERS: usize = 10_000;

/// Telegram of the meter that was searched.
struct Heard {
    bytes: Vec<u8>,
    mode: String,
    telegram: Telegram,
}

/// Asks for the numbers of the meters, listens for each, and tries its key.
pub(super) fn ask_meter(answers: &mut Answers, prompt: &mut Prompt) -> Result<()> {
    let sources = live(answers, Family::is_wmbus);
    if sources.is_empty() {
        return Ok(());
    }
    while let Some(id) = prompt.optional(
        "\nWhich meter is yours? The number printed on it, eight digits (Enter: later, or publish all)",
        number,
    )? {
        prompt.say(&format!("Listening for at most {} s …", SEARCH.as_secs()))?;
        let key = match listen(&sources, &id, prompt)? {
            Some(heard) => ask_right_key(&id, &heard, prompt)?,
            None if prompt.yes("  Write it nevertheless? It may send rarely", true)? => {
                ask_key("  Its key, if it encrypts", prompt)?
            }
            None => continue,
        };
        answers.meters.push(MeterAnswer::Wmbus { id, key });
    }
    Ok(())
}

/// Parses a printed number; leading zeros may be left out.
fn number(text: &str) -> Result<String, String> {
    let plain: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    if plain.is_empty() || plain.len() > 8 || !plain.chars().all(|c| c.is_ascii_digit()) {
        return Err(format!(
            "invalid number `{text}`: expected up to eight digits, such as 12345678; letters before them are the manufacturer"
        ));
    }
    Ok(format!("{plain:0>8}"))
}

/// Listens until the meter is heard.
fn listen(sources: &[(Live, Family)], id: &str, prompt: &mut Prompt) -> Result<Option<Heard>> {
    let runtime = Runtime::start(Clock::system())?;
    let context = &runtime.context;
    let options = RadioOptions::for_all(Vec::new(), Trust::Normal, context);
    let radios = receive(sources, &options)?;
    let (mut decoder, mut others) = (Decoder::default(), BTreeSet::new());
    let start = context.clock.now();
    for event in EventStream::new(radios, context) {
        match event {
            Event::Telegram(telegram) => {
                if let Ok(decoded) = decoder.decode(&telegram.bytes, &KeyRing::default()) {
                    let numbers = [Some(decoded.meter.number()), decoded.radio_number()];
                    if numbers.iter().flatten().any(|number| number == id) {
                        return Ok(Some(Heard {
                            bytes: telegram.bytes.clone(),
                            mode: telegram.mode.to_string(),
                            telegram: decoded,
                        }));
                    }
                    if others.len() < MAX_METERS {
                        others.insert(decoded.meter.number());
                    }
                }
            }
            Event::State(state) => {
                if let Some(reason) = &state.reason {
                    prompt.say(&format!("  {reason}"))?;
                }
            }
            _ => {}
        }
        if context.clock.now().duration_since(start) > SEARCH {
            context.cancel.cancel();
        }
    }
    prompt.say(&format!(
        "  It was not heard, but {} other meter{}. `metertap find --band {}` lists them.",
        others.len(),
        if others.len() == 1 { "" } else { "s" },
        sources.first().map_or("868", |(_, family)| family.band())
    ))?;
    Ok(None)
}

/// Says what the meter sends; asks for its key until the telegram can be read with it, or the user wants it nevertheless.
fn ask_right_key(id: &str, heard: &Heard, prompt: &mut Prompt) -> Result<Option<String>> {
    let meter = &heard.telegram;
    prompt.say(&format!(
        "  Heard in mode {}: {}, {}; {}",
        heard.mode,
        meter.meter.letters(),
        meter.medium,
        meter.security
    ))?;
    if meter.security.is_readable() {
        prompt.say(&format!("  {} values", report(meter).reading.0.len()))?;
        return Ok(None);
    }
    loop {
        let key = ask_key("  Its key, from whoever reads the meter", prompt)?;
        let Some(typed) = key.as_deref().and_then(|key| key.parse().ok()) else {
            return Ok(None);
        };
        let mut keys = KeyRing::default();
        keys.insert(id, typed);
        if let Ok(decoded) = Decoder::default().decode(&heard.bytes, &keys) {
            if decoded.security.is_readable() {
                let values = report(&decoded).reading.0.len();
                prompt.say(&format!("  The key is right: {values} values"))?;
                return Ok(key);
            }
            prompt.say(&format!("  {}", decoded.security))?;
        }
        if !prompt.yes("  Type the key again?", true)? {
            return Ok(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_number_has_eight_digits_and_no_letters() {
        assert_eq!(number("1234 5678"), Ok("12345678".into()));
        assert_eq!(number("123"), Ok("00000123".into()));
        for text in ["", "123456789", "KAM1234567", "０"] {
            assert!(number(text).is_err(), "{text}");
        }
    }
}
