//! Prices of what meters count, as they are configured.

use crate::meter::price_source::PriceSource;
use jiff::civil::{Date, Time, Weekday};
use std::sync::Arc;

/// Registers of one counter that may have a price of their own.
pub const REGISTERS: usize = 4;

/// Price at certain times of the week.
#[derive(Clone, Debug, PartialEq)]
pub struct TimedPrice {
    /// Price per unit.
    pub price: f64,
    /// Begin of the time of day.
    pub from: Time,
    /// End of it; before the begin if midnight lies in between, equal to it for the whole day.
    pub to: Time,
    /// Days on which it begins; empty: all.
    pub days: Vec<Weekday>,
}

impl TimedPrice {
    /// Returns true if the price applies at a time of a day.
    fn applies(&self, date: Date, time: Time) -> bool {
        let is_on = |date: Option<Date>| {
            let day = date.map(Date::weekday);
            self.days.is_empty() || day.is_some_and(|day| self.days.contains(&day))
        };
        let yesterday = || date.yesterday().ok();
        if self.from < self.to {
            return self.from <= time && time < self.to && is_on(Some(date));
        }
        time >= self.from && is_on(Some(date)) || time < self.to && is_on(yesterday())
    }
}

/// Length of time that a standing charge is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChargePeriod {
    /// A day.
    Day,
    /// A month of the calendar.
    #[default]
    Month,
    /// A year of the calendar.
    Year,
}

impl ChargePeriod {
    /// Days of the period with `date` in it.
    pub fn days(self, date: Date) -> f64 {
        match self {
            ChargePeriod::Day => 1.0,
            ChargePeriod::Month => f64::from(date.days_in_month()),
            ChargePeriod::Year => f64::from(date.days_in_year()),
        }
    }
}

/// Prices that change every hour, and what is added to them.
#[derive(Clone, Debug, PartialEq)]
pub struct HourlyPrice {
    /// Source of the prices.
    pub source: PriceSource,
    /// Factor of a published price: taxes in proportion, or another unit.
    pub factor: f64,
    /// Addition to it: fees and taxes per unit.
    pub add: f64,
}

/// Prices of one direction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prices {
    /// Price per unit of the counter, where no other applies.
    pub price: Option<f64>,
    /// Prices at other times; the first that applies counts.
    pub times: Vec<TimedPrice>,
    /// Prices of an exchange or supplier.
    pub hourly: Option<HourlyPrice>,
    /// Price of what each register of the meter counts.
    pub registers: [Option<f64>; REGISTERS],
}

impl Prices {
    /// Price at a time of a day, of those that are known beforehand.
    pub fn at(&self, date: Date, time: Time) -> Option<f64> {
        let timed = self.times.iter().find(|timed| timed.applies(date, time));
        timed.map_or(self.price, |timed| Some(timed.price))
    }

    /// Returns true if registers have prices of their own.
    pub fn has_registers(&self) -> bool {
        self.registers.iter().any(Option::is_some)
    }
}

/// Prices of some meters from a day on.
#[derive(Clone, Debug, PartialEq)]
pub struct Tariff {
    /// Ids of the meters.
    pub meters: Vec<String>,
    /// First day; none: always.
    pub from: Option<Date>,
    /// Prices of what is used.
    pub import: Prices,
    /// Credit for what is fed in.
    pub export: Option<Prices>,
    /// Standing charge.
    pub standing: Option<(f64, ChargePeriod)>,
    /// Code or sign of the currency.
    pub currency: String,
}

impl Tariff {
    fn directions(&self) -> impl Iterator<Item = &Prices> {
        std::iter::once(&self.import).chain(&self.export)
    }
}

/// Tariffs of all meters, in the order of their first days.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tariffs(Arc<[Tariff]>);

impl Tariffs {
    /// Orders tariffs by their first day.
    pub fn new(mut tariffs: Vec<Tariff>) -> Self {
        tariffs.sort_by_key(|tariff| tariff.from);
        Tariffs(tariffs.into())
    }

    /// Tariffs of a meter.
    pub fn of_meter<'a>(&'a self, meter: &'a str) -> impl Iterator<Item = &'a Tariff> {
        let has_meter = move |tariff: &&Tariff| tariff.meters.iter().any(|id| id == meter);
        self.0.iter().filter(has_meter)
    }

    /// Returns true if registers of a meter have prices of their own.
    pub fn has_registers(&self, meter: &str) -> bool {
        self.of_meter(meter)
            .any(|tariff| tariff.directions().any(Prices::has_registers))
    }

    /// Sources of hourly prices, each once.
    pub fn sources(&self) -> Vec<PriceSource> {
        let mut sources = Vec::new();
        for hourly in self
            .0
            .iter()
            .flat_map(Tariff::directions)
            .flat_map(|prices| &prices.hourly)
        {
            if !sources.contains(&hourly.source) {
                sources.push(hourly.source.clone());
            }
        }
        sources
    }
}
