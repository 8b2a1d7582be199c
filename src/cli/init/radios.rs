//! Radios in the conversation: which dongle, and which meter on the air is one's own.

use crate::cli::init::answers::{Answers, MeterAnswer};
use crate::cli::init::prompt::Prompt;
use crate::cli::plugged::dongles;
use crate::daemon::event_stream::{Event, EventStream};
use crate::meter::default_kinds;
use crate::meter::find::{candidates, certain_match};
use crate::meter::table::MeterTable;
use crate::receiver::{Radio, RadioOptions};
use crate::runtime::{Clock, Runtime};
use crate::source::{Address, Live, Tuning};
use anyhow::Result;
use metertap_dsp::Trust;
use std::time::Duration;

/// Time of listening for one's own meter: many send every half minute, all of SCM twice a minute.
const SEARCH: Duration = Duration::from_secs(120);

/// Offers the dongles that are plugged in, then asks for further sources, then for the number on the dial.
pub(super) fn ask(answers: &mut Answers, prompt: &mut Prompt) -> Result<()> {
    let dongles = dongles();
    if dongles.is_empty() {
        prompt.say("\nNo dongle is plugged in (`metertap devices` says more).")?;
    }
    for (source, name) in dongles {
        let Ok(address) = source.parse() else { continue };
        if prompt.yes(
            &format!("\nReceive radio meters with the dongle {source} ({name})?"),
            true,
        )? {
            answers.radios.push(address);
        }
    }
    while let Some(address) = prompt.optional(
        "\nAnother radio: rtl_tcp://host:1234, or a recorded file (Enter: none)",
        |text| text.parse::<Address>().map_err(|error| error.to_string()),
    )? {
        answers.radios.push(address);
    }
    Ok(())
}

/// Finds one's own meter by its dial.
pub(super) fn ask_meter(answers: &mut Answers, prompt: &mut Prompt) -> Result<()> {
    let sources: Vec<Live> = answers
        .radios
        .iter()
        .filter_map(|address| Live::new(address, Tuning::default()))
        .collect();
    if sources.is_empty() {
        return Ok(());
    }
    while let Some(dial) = prompt.optional(
        "\nWhich meter is yours? Read its dial now: all digits, also painted zeros (Enter: later, or publish all)",
        dial_reading,
    )? {
        prompt.say(&format!("Listening for at most {} s …", SEARCH.as_secs()))?;
        match search(&sources, dial, prompt)? {
            Some(meter) => {
                if prompt.yes(&format!("  Meter {} shows that. Is it yours?", meter.id), true)? {
                    answers.meters.push(meter);
                }
            }
            None => prompt.say(
                "  None that was heard shows that number: it may send rarely, or be out of range. `metertap find` listens longer.",
            )?,
        }
    }
    Ok(())
}

fn dial_reading(text: &str) -> Result<f64, String> {
    let plain: String = text.chars().filter(|c| !matches!(c, ',' | '_' | ' ')).collect();
    let number = plain.parse::<f64>().ok();
    number
        .filter(|number| number.is_finite() && *number >= 0.0)
        .ok_or_else(|| format!("expected the number on the dial, such as 48213, found `{text}`"))
}

/// Listens until one meter shows what the dial shows.
fn search(sources: &[Live], dial: f64, prompt: &mut Prompt) -> Result<Option<MeterAnswer>> {
    let runtime = Runtime::start(Clock::system())?;
    let options = RadioOptions::for_all(default_kinds(), Trust::Normal, &runtime.context);
    let radios: Result<Vec<Radio>> = sources
        .iter()
        .map(|source| Radio::live("radio", source.clone(), None, &options))
        .collect();
    let until = runtime.context.clock.now() + SEARCH;
    let mut table = MeterTable::default();
    for event in EventStream::new(radios?, &runtime.context) {
        match event {
            Event::Reading(reading) => {
                table.add(&reading);
                let found = candidates(dial, table.meters());
                if let Some(mine) = certain_match(&found) {
                    let scale = (mine.extra_digits != 0).then(|| 10f64.powi(-mine.extra_digits));
                    return Ok(Some(MeterAnswer { id: mine.id, scale }));
                }
            }
            Event::State(state) => {
                if let Some(reason) = state.reason {
                    prompt.say(&format!("  {reason}"))?;
                }
            }
            Event::End(..) | Event::Wire(_) | Event::Failure(_) | Event::Reload | Event::Quiet => {}
        }
        if runtime.context.clock.now() > until {
            runtime.context.cancel.cancel();
        }
    }
    Ok(None)
}
