//! State of a source of hourly prices: what is known of them, and what goes wrong.

use crate::meter::hourly_prices::HourlyPrices;
use crate::meter::price_list::PriceSpan;
use crate::meter::price_source::PriceSource;
use jiff::Timestamp;
use serde::Serialize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// State of a source, written by its task and read by others; clones share it.
#[derive(Clone, Debug)]
pub struct PriceFeedStatus {
    source: Arc<PriceSource>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Copied on write: readers keep theirs while they compute.
    prices: Arc<HourlyPrices>,
    updated: Option<Timestamp>,
    errors: u64,
    trouble: Option<String>,
}

/// State of a source of hourly prices.
#[derive(Debug, PartialEq, Serialize)]
pub struct PriceFeedJson {
    /// Address, without login and query.
    pub source: String,
    /// Time of the last list that was read, since the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated: Option<Timestamp>,
    /// Number of quarters of an hour whose price is known.
    pub known: usize,
    /// End of the last known price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Price now, as published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<f64>,
    /// Number of attempts since the start that have failed.
    pub errors: u64,
    /// What is wrong at present, if anything is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

impl PriceFeedStatus {
    /// Creates the state of a source with the prices that an earlier process has learned.
    pub fn new(source: PriceSource, prices: HourlyPrices) -> Self {
        let state = State {
            prices: Arc::new(prices),
            ..State::default()
        };
        PriceFeedStatus {
            source: Arc::new(source),
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// The source.
    pub fn source(&self) -> &PriceSource {
        &self.source
    }

    /// Prices known now.
    pub fn prices(&self) -> Arc<HourlyPrices> {
        self.state().prices.clone()
    }

    /// Number of attempts since the start that have failed.
    pub fn errors(&self) -> u64 {
        self.state().errors
    }

    /// Takes a list; returns true if anything has changed by it.
    pub fn learn(&self, prices: &[PriceSpan], now: Timestamp) -> bool {
        let mut state = self.state();
        (state.updated, state.trouble) = (Some(now), None);
        Arc::make_mut(&mut state.prices).learn(prices, now)
    }

    /// Counts a failure, and returns true if it is not the one before.
    pub fn fail(&self, trouble: &str) -> bool {
        let mut state = self.state();
        state.errors += 1;
        let is_new = state.trouble.as_deref() != Some(trouble);
        state.trouble = Some(trouble.to_owned());
        is_new
    }

    /// State as the API shows it.
    pub fn json(&self, now: Timestamp) -> PriceFeedJson {
        let state = self.state();
        let until = state
            .prices
            .end()
            .and_then(|second| Timestamp::from_second(second).ok());
        let price = state.prices.at(now);
        let outdated = || match until {
            Some(until) if until <= now => Some(format!("the last known price ended at {until}")),
            None => Some("no price is known yet".to_owned()),
            Some(_) => None,
        };
        PriceFeedJson {
            source: self.source.address.to_string(),
            updated: state.updated,
            known: state.prices.len(),
            until,
            now: price,
            errors: state.errors,
            trouble: state.trouble.clone().or_else(outdated),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn given_prices_that_end_or_a_failure_then_the_state_says_so_until_new_ones_come() {
        let source = PriceSource {
            address: "http://u:p@a.lan/prices?key=1".parse().unwrap(),
            field: None,
            headers: BTreeMap::new(),
        };
        let status = PriceFeedStatus::new(source, HourlyPrices::default());
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(
            status.json(at(0)).trouble.as_deref(),
            Some("no price is known yet")
        );
        let span = PriceSpan {
            begin: 0,
            end: 3600,
            price: 0.25,
        };
        assert!(status.learn(&[span], at(0)));
        let json = status.json(at(10));
        assert_eq!(
            (json.source.as_str(), json.now, json.until, json.trouble),
            ("http://a.lan/prices", Some(0.25), Some(at(3600)), None)
        );
        assert!(status.fail("no answer") && !status.fail("no answer"));
        let json = status.json(at(3600));
        assert_eq!(
            (json.errors, json.now, json.trouble.as_deref()),
            (2, None, Some("no answer"))
        );
        assert!(!status.learn(&[span], at(3700)), "the same as before");
        let trouble = status.json(at(3700)).trouble.unwrap();
        assert_eq!(trouble, "the last known price ended at 1970-01-01T01:00:00Z");
    }
}
