//! Search for the radio meter whose counter shows the number on a dial.

use crate::daemon::event_stream::{Event, EventStream};
use crate::meter::find::{Candidate, candidates, certain_match};
use crate::meter::table::MeterTable;
use crate::receiver::Radio;
use crate::runtime::Context;
use crate::status::receiver::ReceiverState;
use anyhow::Result;
use metertap_decode::ert::Commodity;
use std::time::Duration;

/// A search, and the meters that it has received.
pub struct DialSearch {
    dial: f64,
    commodity: Option<Commodity>,
    table: MeterTable,
}

/// What happens during a search.
pub enum Progress<'a> {
    /// Other meters than before are near the dial, the closest first.
    Candidates(&'a [Candidate]),
    /// State of a receiver.
    State(&'a ReceiverState),
    /// A receiver has ended, well or with an error.
    End(Result<()>),
}

impl DialSearch {
    /// Searches for a dial that shows `dial`, among the meters of `commodity` if that is known.
    pub fn new(dial: f64, commodity: Option<Commodity>) -> Self {
        DialSearch {
            dial,
            commodity,
            table: MeterTable::default(),
        }
    }

    /// Receives until one meter is certain, or `within` has passed and `context` is cancelled for that.
    ///
    /// # Errors
    /// Returns the error of `tell`, which ends the search.
    pub fn run(
        &mut self,
        radios: Vec<Radio>,
        within: Duration,
        context: &Context,
        mut tell: impl FnMut(Progress) -> Result<()>,
    ) -> Result<Option<Candidate>> {
        let start = context.clock.now();
        let mut shown = Vec::new();
        for event in EventStream::new(radios, context) {
            match event {
                Event::Reading(reading) => {
                    if self
                        .commodity
                        .is_none_or(|wanted| reading.message.commodity() == wanted)
                    {
                        self.table.add(&reading);
                    }
                    let found = self.candidates();
                    if found.iter().map(|c| c.id).ne(shown.iter().copied()) {
                        shown = found.iter().map(|c| c.id).collect();
                        tell(Progress::Candidates(&found))?;
                    }
                    if let Some(mine) = certain_match(&found) {
                        return Ok(Some(mine.clone()));
                    }
                }
                Event::State(state) => tell(Progress::State(&state))?,
                Event::End(_, end) => tell(Progress::End(end.result))?,
                Event::Telegram(_) | Event::Wire(_) | Event::Failure(_) | Event::Reload | Event::Quiet => {}
            }
            if context.clock.now().duration_since(start) > within {
                context.cancel.cancel();
            }
        }
        Ok(None)
    }

    /// Meters near the dial so far, the closest first.
    pub fn candidates(&self) -> Vec<Candidate> {
        candidates(self.dial, self.table.meters())
    }

    /// Number of meters received so far.
    pub fn received(&self) -> usize {
        self.table.meters().len()
    }
}

/// Value of one count of a match, for a reading that is that of the dial; `None` if it is 1.
pub fn scale(mine: &Candidate) -> Option<f64> {
    (mine.extra_digits != 0).then(|| 10f64.powi(-mine.extra_digits))
}

/// Parses a dial's number; commas between digits are separators of thousands.
///
/// # Errors
/// Returns what was expected and found.
pub fn dial_reading(text: &str) -> Result<f64, String> {
    let plain: String = text.chars().filter(|c| !matches!(c, ',' | '_' | ' ')).collect();
    match plain.parse::<f64>() {
        Ok(number) if number.is_finite() && number >= 0.0 => Ok(number),
        _ => Err(format!(
            "invalid reading `{text}`: expected the number on the dial, such as 48213"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_separators_then_the_dial_is_read_and_words_are_refused() {
        for text in ["48213", "48,213", "48 213", "48_213"] {
            assert_eq!(dial_reading(text), Ok(48_213.0), "{text}");
        }
        assert!(dial_reading("many").is_err() && dial_reading("-3").is_err() && dial_reading("nan").is_err());
    }
}
