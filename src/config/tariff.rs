//! `[[tariff]]`: prices of what meters count.

use crate::meter::tariff::{ChargePeriod, Tariff, TimedPrice};
use jiff::civil::{Date, Time, Weekday};
use serde::Deserialize;

/// Section as it stands in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TariffSection {
    /// Ids of the meters, one or a list.
    meter: Several,
    /// First day, such as `"2026-07-01"`; it replaces the tariff before. Default: always.
    from: Option<String>,
    /// Price of one unit of the meter's counter: of one kWh, m³ or gal.
    price: f64,
    /// Prices at other times, the first that applies counts: `{ price = 0.21, from = "23:00", to = "07:00", days = "mon tue" }`. Without `from` and `to` for whole days, without `days` for all. Default: none.
    #[serde(default)]
    time: Vec<TimeSection>,
    /// Credit for one kWh that is fed in. Default: none.
    export_price: Option<f64>,
    /// Standing charge. Default: none.
    standing_charge: Option<f64>,
    /// Length of time it is for: `day`, `month` or `year`. Default: `month`.
    #[serde(default)]
    standing_per: StandingPer,
    /// Code or sign of the currency, such as `EUR`. Default: none.
    #[serde(default)]
    currency: String,
}

/// Price at certain times of the week.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TimeSection {
    price: f64,
    from: Option<String>,
    to: Option<String>,
    days: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StandingPer {
    Day,
    #[default]
    Month,
    Year,
}

/// One id or a list of them.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "an id, or several in brackets")]
enum Several {
    One(Id),
    Several(Vec<Id>),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Id {
    Number(u64),
    Text(String),
}

impl Id {
    fn text(&self) -> String {
        match self {
            Id::Number(number) => number.to_string(),
            Id::Text(text) => text.trim().to_owned(),
        }
    }
}

impl TariffSection {
    /// Converts the section, which is number `i` of the file.
    ///
    /// # Errors
    /// Returns all mistakes in it.
    pub fn tariff(&self, i: usize) -> Result<Tariff, Vec<String>> {
        let mut problems = Vec::new();
        let ids = match &self.meter {
            Several::One(id) => vec![id.text()],
            Several::Several(ids) => ids.iter().map(Id::text).collect(),
        };
        if ids.is_empty() || ids.iter().any(String::is_empty) {
            problems.push("meter: expected the id of a meter".to_owned());
        }
        let from = match self.from.as_deref().map(|text| (text, text.parse::<Date>())) {
            None => None,
            Some((_, Ok(date))) => Some(date),
            Some((text, Err(_))) => {
                problems.push(format!(
                    "invalid from = \"{text}\": expected a day such as 2026-07-01"
                ));
                None
            }
        };
        let prices = [("price", Some(self.price)), ("export_price", self.export_price)];
        let charge = [("standing_charge", self.standing_charge)];
        for (key, number) in prices.into_iter().chain(charge) {
            if number.is_some_and(|number| !number.is_finite()) {
                problems.push(format!("{key} must be a number"));
            }
        }
        let mut times = Vec::new();
        for section in &self.time {
            match section.timed_price() {
                Ok(timed) => times.push(timed),
                Err(problem) => problems.push(format!("time: {problem}")),
            }
        }
        if self.currency.contains(char::is_control) || self.currency.chars().count() > 8 {
            problems.push("currency: expected a code or a sign of at most 8 characters, such as EUR".into());
        }
        if !problems.is_empty() {
            let numbered = |problem| format!("[[tariff]] {}: {problem}", i + 1);
            return Err(problems.into_iter().map(numbered).collect());
        }
        Ok(Tariff {
            meters: ids,
            from,
            price: self.price,
            times,
            export_price: self.export_price,
            standing: self.standing_charge.map(|charge| {
                let period = match self.standing_per {
                    StandingPer::Day => ChargePeriod::Day,
                    StandingPer::Month => ChargePeriod::Month,
                    StandingPer::Year => ChargePeriod::Year,
                };
                (charge, period)
            }),
            currency: self.currency.trim().to_owned(),
        })
    }
}

impl TimeSection {
    fn timed_price(&self) -> Result<TimedPrice, String> {
        if !self.price.is_finite() {
            return Err("price must be a number".into());
        }
        let days = self.days.as_deref().unwrap_or_default();
        let days = days
            .split(|c: char| c == ',' || c.is_whitespace())
            .filter(|word| !word.is_empty());
        Ok(TimedPrice {
            price: self.price,
            from: time_of("from", self.from.as_deref())?,
            to: time_of("to", self.to.as_deref())?,
            days: days.map(day_of).collect::<Result<_, _>>()?,
        })
    }
}

fn time_of(key: &str, text: Option<&str>) -> Result<Time, String> {
    match text {
        // The end of a day is the begin of the next.
        None | Some("24:00") => Ok(Time::midnight()),
        Some(text) => {
            let time = Time::strptime("%H:%M", text);
            time.map_err(|_| format!("invalid {key} = \"{text}\": expected a time such as 23:00"))
        }
    }
}

fn day_of(word: &str) -> Result<Weekday, String> {
    let days = [
        ("mon", Weekday::Monday),
        ("tue", Weekday::Tuesday),
        ("wed", Weekday::Wednesday),
        ("thu", Weekday::Thursday),
        ("fri", Weekday::Friday),
        ("sat", Weekday::Saturday),
        ("sun", Weekday::Sunday),
    ];
    let found = days.iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
    found
        .map(|(_, day)| *day)
        .ok_or_else(|| format!("invalid days: found `{word}`, expected mon, tue, wed, thu, fri, sat, sun"))
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::meter::tariff::{ChargePeriod, Tariff, Tariffs, TimedPrice};
    use jiff::civil::{Weekday, date, time};

    const HEAD: &str = "[[radio]]\nsource = \"rtlsdr\"\n";

    #[test]
    fn given_a_tariff_then_all_of_it_is_read() {
        let text = r#"[[tariff]]
meter = ["MTP5", 16]
from = "2026-07-01"
price = 0.3
time = [{ price = 0.2, from = "23:00", to = "07:00", days = "mon, tue" }, { price = 0.1, from = "12:00", to = "24:00" }]
export_price = 0.08
standing_charge = 120
standing_per = "year"
currency = "EUR"
"#;
        let (config, _) = Config::parse(&format!("{HEAD}{text}"), &[]).unwrap();
        let timed = |price, from, to, days| TimedPrice {
            price,
            from,
            to,
            days,
        };
        let (night, noon) = (time(23, 0, 0, 0), time(12, 0, 0, 0));
        let expected = Tariff {
            meters: vec!["MTP5".into(), "16".into()],
            from: Some(date(2026, 7, 1)),
            price: 0.3,
            times: vec![
                timed(
                    0.2,
                    night,
                    time(7, 0, 0, 0),
                    vec![Weekday::Monday, Weekday::Tuesday],
                ),
                timed(0.1, noon, time(0, 0, 0, 0), vec![]),
            ],
            export_price: Some(0.08),
            standing: Some((120.0, ChargePeriod::Year)),
            currency: "EUR".into(),
        };
        assert_eq!(config.tariffs, Tariffs::new(vec![expected]));
    }

    #[test]
    fn given_mistakes_then_each_is_reported_with_its_line() {
        let text = "[[tariff]]\nmeter = \"1\"\nprice = 1\n[[tariff]]\nmeter = 1\nprice = nan\nfrom = \"July\"\n\
                    time = [{ price = 1, from = \"25:00\" }, { price = 1, days = \"mo\" }]\n[[tariff]]\nmeter = 1\nprice = 2\n";
        let problems = Config::parse(&format!("{HEAD}{text}"), &[])
            .unwrap_err()
            .to_string();
        for part in [
            "[[tariff]] 2: invalid from = \"July\": expected a day such as 2026-07-01",
            "[[tariff]] 2: price must be a number",
            "[[tariff]] 2: time: invalid from = \"25:00\"",
            "[[tariff]] 2: time: invalid days: found `mo`, expected mon",
            "line 12: [[tariff]] 3: meter 1 has another tariff from the same day",
        ] {
            assert!(problems.contains(part), "{part}: {problems}");
        }
    }
}
