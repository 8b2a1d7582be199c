//! Radios in the conversation: which dongle, and which meter on the air is one's own.

use crate::cli::dial_search::{DialSearch, Progress, dial_reading, scale};
use crate::cli::init::answers::{Answers, MeterAnswer};
use crate::cli::init::prompt::Prompt;
use crate::cli::plugged::dongles;
use crate::meter::default_kinds;
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

/// Listens until one meter shows what the dial shows.
fn search(sources: &[Live], dial: f64, prompt: &mut Prompt) -> Result<Option<MeterAnswer>> {
    let runtime = Runtime::start(Clock::system())?;
    let options = RadioOptions::for_all(default_kinds(), Trust::Normal, &runtime.context);
    let radios: Result<Vec<Radio>> = sources
        .iter()
        .map(|source| Radio::live("radio", source.clone(), None, &options))
        .collect();
    let found =
        DialSearch::new(dial, None).run(radios?, SEARCH, &runtime.context, |progress| match progress {
            Progress::State(state) => state
                .reason
                .iter()
                .try_for_each(|reason| prompt.say(&format!("  {reason}"))),
            Progress::Candidates(_) | Progress::End(_) => Ok(()),
        })?;
    Ok(found.map(|mine| MeterAnswer {
        id: mine.id,
        scale: scale(&mine),
    }))
}
