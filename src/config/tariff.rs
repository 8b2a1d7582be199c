//! `[[tariff]]`: prices of what meters count.

use crate::meter::price_source::{PriceAddress, PriceSource};
use crate::meter::tariff::{ChargePeriod, HourlyPrice, Prices, REGISTERS, Tariff, TimedPrice};
use crate::secret::{Secret, headers};
use jiff::civil::{Date, Time, Weekday};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Section as it stands in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TariffSection {
    /// Ids of the meters, one or a list.
    meter: Several,
    /// First day, such as `"2026-07-01"`; it replaces the tariff before. Default: always.
    from: Option<String>,
    /// Price of one unit of the meter's counter: of one kWh, m³ or gal. Beside `hourly` or `registers`, it counts where these are not known. Default: none.
    price: Option<f64>,
    /// Prices at other times, the first that applies counts: `{ price = 0.21, from = "23:00", to = "07:00", days = "mon tue" }`. Without `from` and `to` for whole days, without `days` for all. Default: none.
    #[serde(default)]
    time: Vec<TimeSection>,
    /// Price of what each tariff register of the meter counts: `{ t1 = 0.24, t2 = 0.31 }`, up to `t4`. Default: none.
    #[serde(default)]
    registers: RegisterSection,
    /// Prices that change every hour, see [web.md](web.md#prices-that-change-every-hour): `{ source = "https://…", factor = 1.21, add = 0.15 }`, with `field` and `headers` if need be. Default: none.
    hourly: Option<HourlySection>,
    /// Credit for one kWh that is fed in. Default: none.
    export_price: Option<f64>,
    /// The same by tariff registers. Default: none.
    #[serde(default)]
    export_registers: RegisterSection,
    /// The same, changing every hour. Default: none.
    export_hourly: Option<HourlySection>,
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

/// Prices by tariff register.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RegisterSection {
    t1: Option<f64>,
    t2: Option<f64>,
    t3: Option<f64>,
    t4: Option<f64>,
}

/// Prices that change every hour.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HourlySection {
    source: String,
    field: Option<String>,
    #[serde(default = "one")]
    factor: f64,
    #[serde(default)]
    add: f64,
    #[serde(default, deserialize_with = "headers")]
    headers: BTreeMap<String, Secret>,
}

fn one() -> f64 {
    1.0
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
    /// Returns true if the file holds a secret in this section.
    pub fn holds_secret(&self) -> bool {
        let mut sections = self.hourly.iter().chain(&self.export_hourly);
        sections.any(|section| !section.headers.is_empty())
    }

    /// Returns true if prices come from the broker.
    pub fn is_from_broker(&self) -> bool {
        let mut sections = self.hourly.iter().chain(&self.export_hourly);
        sections.any(|section| section.source.starts_with("mqtt:"))
    }

    fn times(&self, problems: &mut Vec<String>) -> Vec<TimedPrice> {
        let mut times = Vec::new();
        for section in &self.time {
            match section.timed_price() {
                Ok(timed) => times.push(timed),
                Err(problem) => problems.push(format!("time: {problem}")),
            }
        }
        times
    }

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
        let import = Prices {
            price: checked("price", self.price, &mut problems),
            times: self.times(&mut problems),
            hourly: hourly("hourly", self.hourly.as_ref(), &mut problems),
            registers: self.registers.prices("registers", &mut problems),
        };
        let export = Prices {
            price: checked("export_price", self.export_price, &mut problems),
            times: Vec::new(),
            hourly: hourly("export_hourly", self.export_hourly.as_ref(), &mut problems),
            registers: self.export_registers.prices("export_registers", &mut problems),
        };
        checked("standing_charge", self.standing_charge, &mut problems);
        for (begin, prices) in [("", &import), ("export_", &export)] {
            if prices.hourly.is_some() && prices.has_registers() {
                problems.push(format!(
                    "{begin}hourly and {begin}registers exclude each other: a kWh has one price"
                ));
            }
        }
        let has_none = self.price.is_none() && self.hourly.is_none() && !import.has_registers();
        if has_none {
            problems.push("price is missing: expected price, registers or hourly".to_owned());
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
            import,
            export: (export != Prices::default()).then_some(export),
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

impl RegisterSection {
    fn prices(&self, key: &str, problems: &mut Vec<String>) -> [Option<f64>; REGISTERS] {
        [self.t1, self.t2, self.t3, self.t4].map(|price| checked(key, price, problems))
    }
}

/// Returns a number, and reports it if it is none.
fn checked(key: &str, number: Option<f64>, problems: &mut Vec<String>) -> Option<f64> {
    if number.is_some_and(|number| !number.is_finite()) {
        problems.push(format!("{key} must be a number"));
    }
    number
}

fn hourly(key: &str, section: Option<&HourlySection>, problems: &mut Vec<String>) -> Option<HourlyPrice> {
    let section = section?;
    let mut report = |text: String| problems.push(format!("{key}: {text}"));
    for (name, number) in [("factor", section.factor), ("add", section.add)] {
        if !number.is_finite() {
            report(format!("{name} must be a number"));
        }
    }
    let address = section.source.parse::<PriceAddress>();
    let address = address.map_err(|error| report(error.to_string())).ok()?;
    if !section.headers.is_empty() && !matches!(address, PriceAddress::Http(_)) {
        report("headers are for a source of http:// or https://".into());
    }
    Some(HourlyPrice {
        source: PriceSource {
            address,
            field: section.field.clone(),
            headers: section.headers.clone(),
        },
        factor: section.factor,
        add: section.add,
    })
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
    use crate::meter::price_source::PriceSource;
    use crate::meter::tariff::{ChargePeriod, HourlyPrice, Prices, Tariff, Tariffs, TimedPrice};
    use jiff::civil::{Weekday, date, time};

    const HEAD: &str = "[[radio]]\nsource = \"rtlsdr\"\n";

    #[test]
    fn given_a_tariff_then_all_of_it_is_read() {
        let text = r#"[[tariff]]
meter = ["MTP5", 16]
from = "2026-07-01"
price = 0.3
time = [{ price = 0.2, from = "23:00", to = "07:00", days = "mon, tue" }, { price = 0.1, from = "12:00", to = "24:00" }]
registers = { t1 = 0.2, t4 = 0.4 }
export_price = 0.08
export_hourly = { source = "http://a.lan/p?x=1", field = "SEK", factor = 0.5, add = -0.01, headers = { authorization = "Bearer x" } }
standing_charge = 120
standing_per = "year"
currency = "EUR"
"#;
        let (config, holds_secret) = Config::parse(&format!("{HEAD}{text}"), &[]).unwrap();
        assert!(holds_secret);
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
            import: Prices {
                price: Some(0.3),
                times: vec![
                    timed(
                        0.2,
                        night,
                        time(7, 0, 0, 0),
                        vec![Weekday::Monday, Weekday::Tuesday],
                    ),
                    timed(0.1, noon, time(0, 0, 0, 0), vec![]),
                ],
                registers: [Some(0.2), None, None, Some(0.4)],
                hourly: None,
            },
            export: Some(Prices {
                price: Some(0.08),
                hourly: Some(HourlyPrice {
                    source: PriceSource {
                        address: "http://a.lan/p?x=1".parse().unwrap(),
                        field: Some("SEK".into()),
                        headers: [("authorization".to_owned(), "Bearer x".to_owned().into())].into(),
                    },
                    factor: 0.5,
                    add: -0.01,
                }),
                ..Prices::default()
            }),
            standing: Some((120.0, ChargePeriod::Year)),
            currency: "EUR".into(),
        };
        assert_eq!(config.tariffs, Tariffs::new(vec![expected]));
    }

    #[test]
    fn given_mistakes_then_each_is_reported_with_its_line() {
        let text = "[[tariff]]\nmeter = \"1\"\nprice = 1\n[[tariff]]\nmeter = 1\nprice = nan\nfrom = \"July\"\n\
                    time = [{ price = 1, from = \"25:00\" }, { price = 1, days = \"mo\" }]\n[[tariff]]\nmeter = 1\nprice = 2\n\
                    [[tariff]]\nmeter = 2\nhourly = { source = \"prices\", factor = inf }\nregisters = { t1 = 1 }\n\
                    [[tariff]]\nmeter = 3\n[[tariff]]\nmeter = 4\nhourly = { source = \"mqtt:p\", headers = { a = \"b\" } }\nregisters = { t1 = 1 }\n\
                    [[tariff]]\nmeter = 5\nhourly = { source = \"mqtt:p\" }\n";
        let problems = Config::parse(&format!("{HEAD}{text}"), &[])
            .unwrap_err()
            .to_string();
        for part in [
            "[[tariff]] 2: invalid from = \"July\": expected a day such as 2026-07-01",
            "[[tariff]] 2: price must be a number",
            "[[tariff]] 2: time: invalid from = \"25:00\"",
            "[[tariff]] 2: time: invalid days: found `mo`, expected mon",
            "line 12: [[tariff]] 3: meter 1 has another tariff from the same day",
            "line 16: [[tariff]] 4: hourly: invalid source = \"prices\": expected https://",
            "[[tariff]] 4: hourly: factor must be a number",
            "line 18: [[tariff]] 5: price is missing: expected price, registers or hourly",
            "[[tariff]] 6: hourly: headers are for a source of http://",
            "[[tariff]] 6: hourly and registers exclude each other",
            "hourly: source = \"mqtt:…\" needs [mqtt]",
        ] {
            assert!(problems.contains(part), "{part}: {problems}");
        }
    }
}
