//! Sums of hours over days, weeks, months and years of the time zone of this machine.

use crate::meter::costs::CounterCosts;
use crate::meter::counter_series::Hour;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};
use serde::Deserialize;

/// Length of a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Length {
    /// An hour of UTC.
    Hours,
    /// From midnight to midnight.
    Days,
    /// From Monday to Sunday.
    Weeks,
    /// A month of the calendar.
    Months,
    /// A year of the calendar.
    Years,
}

/// Sum over one period.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Period {
    /// Begin in seconds since 1970.
    pub begin: i64,
    /// Sum of the known hours.
    pub amount: f64,
    /// Cost, with standing charges; `None` without a price.
    pub cost: Option<f64>,
    /// Share of the known hours whose price is known.
    pub priced: f64,
    /// Share of the hours that are over, or whose consumption is known, and that are measured.
    pub coverage: f64,
}

/// Sums `hours`, which are in order, over periods; those without any known hour are left out. `now`: seconds since 1970.
pub fn sums(
    hours: &[Hour],
    length: Length,
    zone: &TimeZone,
    now: i64,
    costs: Option<&CounterCosts<'_>>,
) -> Vec<Period> {
    let mut sums = Vec::new();
    let mut hours = hours.iter().peekable();
    while let Some(first) = hours.peek() {
        // The calendar is asked once for each period, not for each hour.
        let Some((begin, end)) = bounds(first.second, length, zone) else {
            break;
        };
        let (mut amount, mut measured, mut last) = (0.0, 0.0, begin);
        let (mut known, mut priced) = (0.0, 0.0);
        let mut cost: Option<f64> = None;
        while let Some(hour) = hours.next_if(|hour| hour.second < end) {
            amount += hour.amount;
            let hour_cost = costs.and_then(|costs| costs.of_hour(hour.second, hour.amount));
            cost = hour_cost.map_or(cost, |of_hour| Some(cost.unwrap_or_default() + of_hour));
            known += 1.0;
            priced += f64::from(u8::from(hour_cost.is_some()));
            measured += f64::from(u8::from(hour.is_measured));
            last = hour.second + 3600;
        }
        let until = end.min(now.max(last));
        let elapsed = until - begin;
        let standing = costs.map_or(0.0, |costs| costs.standing(begin, until));
        sums.push(Period {
            begin,
            amount,
            cost: cost.map(|cost| cost + standing),
            priced: priced / known,
            coverage: (measured * 3600.0 / elapsed.max(1) as f64).min(1.0),
        });
    }
    sums
}

/// Begin and end of the period in which `second` lies.
fn bounds(second: i64, length: Length, zone: &TimeZone) -> Option<(i64, i64)> {
    if length == Length::Hours {
        return Some((second, second + 3600));
    }
    let date = Timestamp::from_second(second).ok()?.to_zoned(zone.clone()).date();
    let (first, next) = dates(date, length)?;
    let midnight = |date: Date| -> Option<i64> {
        let zoned: Zoned = date.to_zoned(zone.clone()).ok()?;
        Some(zoned.timestamp().as_second())
    };
    let (begin, end) = (midnight(first)?, midnight(next)?);
    // So that the sum goes on whatever a zone does.
    (end > second).then_some((begin, end))
}

/// First day of the period with `date` in it, and that of the next.
fn dates(date: Date, length: Length) -> Option<(Date, Date)> {
    let (first, span) = match length {
        Length::Hours | Length::Days => (date, 1.day()),
        Length::Weeks => {
            let since_monday = i64::from(date.weekday().to_monday_zero_offset());
            (date.checked_sub(since_monday.days()).ok()?, 1.week())
        }
        Length::Months => (date.first_of_month(), 1.month()),
        Length::Years => (date.first_of_year(), 1.year()),
    };
    Some((first, first.checked_add(span).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(zoned: &str) -> i64 {
        zoned.parse::<Zoned>().unwrap().timestamp().as_second()
    }

    /// One unit in each hour from `from` up to `to`.
    fn hours(from: &str, to: &str) -> Vec<Hour> {
        let hour = |second| Hour {
            second,
            amount: 1.0,
            is_measured: true,
        };
        (second(from)..second(to)).step_by(3600).map(hour).collect()
    }

    fn amounts(hours: &[Hour], length: Length) -> Vec<(String, f64)> {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let sums = sums(hours, length, &zone, i64::MAX, None);
        let date = |second| {
            let at = Timestamp::from_second(second).unwrap();
            at.to_zoned(zone.clone()).strftime("%F %R").to_string()
        };
        sums.iter().map(|sum| (date(sum.begin), sum.amount)).collect()
    }

    fn pair(date: &str, amount: f64) -> (String, f64) {
        (format!("{date} 00:00"), amount)
    }

    #[test]
    fn given_a_change_of_the_clocks_then_its_days_have_23_and_25_hours() {
        let spring = hours(
            "2026-03-28T00:00[Europe/Berlin]",
            "2026-03-31T00:00[Europe/Berlin]",
        );
        let expected = [
            pair("2026-03-28", 24.0),
            pair("2026-03-29", 23.0),
            pair("2026-03-30", 24.0),
        ];
        assert_eq!(amounts(&spring, Length::Days), expected);
        let autumn = hours(
            "2026-10-25T00:00[Europe/Berlin]",
            "2026-10-26T00:00[Europe/Berlin]",
        );
        assert_eq!(amounts(&autumn, Length::Days), [pair("2026-10-25", 25.0)]);
    }

    #[test]
    fn given_a_turn_of_the_year_then_weeks_begin_on_monday_and_months_and_years_on_their_first_day() {
        let hours = hours(
            "2026-12-30T00:00[Europe/Berlin]",
            "2027-01-05T00:00[Europe/Berlin]",
        );
        let weeks = [pair("2026-12-28", 120.0), pair("2027-01-04", 24.0)];
        assert_eq!(amounts(&hours, Length::Weeks), weeks);
        let months = [pair("2026-12-01", 48.0), pair("2027-01-01", 96.0)];
        assert_eq!(amounts(&hours, Length::Months), months);
        let years = [pair("2026-01-01", 48.0), pair("2027-01-01", 96.0)];
        assert_eq!(amounts(&hours, Length::Years), years);
    }

    #[test]
    fn given_hours_that_are_unknown_estimated_or_to_come_then_coverage_is_the_share_of_the_measured_ones_of_the_others()
     {
        let zone = TimeZone::UTC;
        let hour = |hour: i64, is_measured| Hour {
            second: hour * 3600,
            amount: 1.0,
            is_measured,
        };
        // Of 12 hours that are over: one unknown, two estimated.
        let day: Vec<Hour> = (1..12).map(|i| hour(i, i > 2)).collect();
        let sums = sums(&day, Length::Days, &zone, 12 * 3600, None);
        assert_eq!(
            sums,
            [Period {
                begin: 0,
                amount: 11.0,
                cost: None,
                priced: 0.0,
                coverage: 0.75
            }]
        );
    }
}
