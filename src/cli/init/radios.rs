//! Radios in the conversation: which dongle, and which meter on the air is one's own.

use crate::cli::dial_search::{DialSearch, Progress, dial_reading, scale};
use crate::cli::init::answers::{Answers, MeterAnswer, RadioAnswer};
use crate::cli::init::prompt::{Prompt, yes_or_no};
use crate::cli::plugged::dongles;
use crate::meter::default_kinds;
use crate::meter::find::Candidate;
use crate::receiver::{Radio, RadioOptions};
use crate::runtime::{Clock, Runtime};
use crate::source::{Address, Family, Live, Tuning};
use anyhow::Result;
use jiff::tz::TimeZone;
use metertap_dsp::Trust;
use metertap_dsp::wmbus::Modes;
use std::time::Duration;

/// Time of listening for one's own meter: many send every half minute, all of SCM twice a minute.
pub(super) const SEARCH: Duration = Duration::from_secs(120);

const BANDS: &str = "Bands: 915 = ERT meters of North America; 915-fsk = Orion, Hot Rod, Dialog 3G; 868, 433, 169 = wireless M-Bus of Europe.";

/// Where this machine's clock says that it stands, most meters that send are of this family.
fn usual_family() -> Family {
    let zone = TimeZone::system();
    let is_european = zone.iana_name().is_some_and(|name| name.starts_with("Europe/"));
    if is_european {
        Family::Wmbus(Modes::BAND_868)
    } else {
        Family::Ert
    }
}

/// Offers the dongles that are plugged in, then asks for further sources, then for the number on the dial.
pub(super) fn ask(answers: &mut Answers, prompt: &mut Prompt) -> Result<()> {
    let dongles = dongles();
    if dongles.is_empty() {
        prompt.say("\nNo dongle is plugged in (`metertap devices` says more).")?;
    }
    let usual = usual_family().band();
    for (source, name) in dongles {
        let Ok(address) = source.parse() else { continue };
        prompt.say(&format!("\nDongle {source} ({name}). {BANDS}"))?;
        let family = prompt.parsed(
            &format!("Receive radio meters with it? The band, or n [{usual}]"),
            |answer| match yes_or_no(answer, true) {
                Ok(true) => Ok(Some(usual_family())),
                Ok(false) => Ok(None),
                Err(_) => band_answer(answer).map(Some),
            },
        )?;
        if let Some(family) = family {
            answers.radios.push(RadioAnswer {
                source: address,
                family,
            });
        }
    }
    while let Some(address) = prompt.optional(
        "\nAnother radio: rtl_tcp://host:1234, or a recorded file (Enter: none)",
        |text| text.parse::<Address>().map_err(|error| error.to_string()),
    )? {
        let family = prompt.parsed(&format!("{BANDS}\n  Which band? [{usual}]"), band_answer)?;
        answers.radios.push(RadioAnswer {
            source: address,
            family,
        });
    }
    Ok(())
}

/// Parses the name of a band; Enter is the usual one.
fn band_answer(answer: &str) -> Result<Family, String> {
    match answer {
        "" => Ok(usual_family()),
        name => name.parse::<Family>().map_err(|error| error.to_string()),
    }
}

/// Live sources of the receivers whose band is of the families that `wanted` selects; recordings have been heard before.
pub(super) fn live(answers: &Answers, wanted: impl Fn(Family) -> bool) -> Vec<(Live, Family)> {
    let radios = answers.radios.iter().filter(|radio| wanted(radio.family));
    let sources = radios.filter_map(|radio| {
        let family = radio.family;
        let tuning = Tuning {
            center_hz: family.center_hz(),
            ..Tuning::default()
        };
        Some((Live::new(&radio.source, tuning)?, family))
    });
    sources.collect()
}

/// Starts a receiver for each source, for its family.
pub(super) fn receive(sources: &[(Live, Family)], options: &RadioOptions) -> Result<Vec<Radio>> {
    let radios = sources.iter().map(|(source, family)| {
        let options = RadioOptions {
            family: *family,
            ..options.clone()
        };
        Radio::live("radio", source.clone(), None, &options)
    });
    radios.collect()
}

/// Finds one's own meter by its dial.
pub(super) fn ask_meter(answers: &mut Answers, prompt: &mut Prompt) -> Result<()> {
    let sources = live(answers, |family| !family.is_wmbus());
    if sources.is_empty() {
        return Ok(());
    }
    while let Some(dial) = prompt.optional(
        "\nWhich meter is yours? Read its dial now: all digits, also painted zeros (Enter: later, or publish all)",
        dial_reading,
    )? {
        prompt.say(&format!("Listening for at most {} s …", SEARCH.as_secs()))?;
        match search(&sources, dial, prompt)? {
            Some(mine) => {
                if prompt.yes(&format!("  Meter {} shows that. Is it yours?", mine.id), true)? {
                    answers.meters.push(MeterAnswer::Ert {
                        id: mine.id,
                        scale: scale(&mine),
                    });
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
fn search(sources: &[(Live, Family)], dial: f64, prompt: &mut Prompt) -> Result<Option<Candidate>> {
    let runtime = Runtime::start(Clock::system())?;
    let options = RadioOptions::for_all(default_kinds(), Trust::Normal, &runtime.context);
    let radios = receive(sources, &options)?;
    DialSearch::new(dial, None).run(radios, SEARCH, &runtime.context, |progress| match progress {
        Progress::State(state) => state
            .reason
            .iter()
            .try_for_each(|reason| prompt.say(&format!("  {reason}"))),
        Progress::Candidates(_) | Progress::End(_) => Ok(()),
    })
}
