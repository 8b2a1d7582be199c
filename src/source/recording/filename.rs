//! Facts in the name of a recording: `g001_912.6M_2400k.cu8` is 912.6 MHz at 2 400 000 S/s.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use metertap_dsp::iq::Format;

/// Facts found in a file name.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FilenameFacts {
    pub format: Option<Format>,
    pub sample_rate_hz: Option<f64>,
    pub center_hz: Option<f64>,
    pub start: Option<Timestamp>,
}

/// Frequencies below this are sample rates: no meter sends there, and no dongle samples faster.
const LOWEST_CENTER_HZ: f64 = 30e6;

/// Parses the name of a file. A number with `M` is a center frequency and one with `k` a sample rate, as rtl_433 writes
/// them; Hz, kHz, MHz, GHz, sps, ksps and Msps are understood as well. Below 30 MHz, a frequency is a sample rate (`2.4M`),
/// unless that is given, too.
/// A date and time with `Z`, as SDR# and HDSDR write them, is the start. The extension is the format.
pub fn parse(file_name: &str) -> FilenameFacts {
    let mut facts = FilenameFacts::default();
    let (stem, extension) = file_name.rsplit_once('.').unwrap_or((file_name, ""));
    facts.format = match extension.to_ascii_lowercase().as_str() {
        "cu8" | "data" | "complex16u" | "bin" | "iq" => Some(Format::Cu8),
        "cs8" | "complex16s" => Some(Format::Cs8),
        "cs16" => Some(Format::Cs16),
        "cf32" | "cfile" | "complex" => Some(Format::Cf32),
        _ => None,
    };
    if let Some(facts) = parse_gqrx(stem) {
        return facts;
    }
    let (mut rate_hz, mut window_hz) = (None, None);
    for (number, unit) in numbers(stem) {
        match unit.as_str() {
            "m" | "mhz" | "ghz" | "khz" | "hz" => {
                let hz = number * hertz(&unit);
                if unit != "ghz" && hz < LOWEST_CENTER_HZ {
                    window_hz = Some(hz);
                } else {
                    facts.center_hz = Some(hz);
                }
            }
            "k" | "ksps" => rate_hz = Some(number * 1e3),
            "msps" => rate_hz = Some(number * 1e6),
            "sps" => rate_hz = Some(number),
            _ => {}
        }
    }
    // Some programs write the bandwidth beside the rate.
    facts.sample_rate_hz = rate_hz.or(window_hz);
    if facts.sample_rate_hz.is_none() && facts.center_hz.is_none() {
        (facts.center_hz, facts.sample_rate_hz) = plain_numbers(stem);
    }
    facts.start = start(stem);
    facts
}

/// Numbers with a unit in lower case: `912.6M`, `1M6` for 1.6 M (rtl-wmbus), and `912_6MHz` between dashes (Universal Radio
/// Hacker).
fn numbers(stem: &str) -> Vec<(f64, String)> {
    let mut found = Vec::new();
    for part in stem.split('-') {
        let fraction = part.split_once('_').filter(|(whole, rest)| {
            let is_whole = !whole.is_empty() && whole.bytes().all(|byte| byte.is_ascii_digit());
            is_whole
                && !rest.contains(['_', '.'])
                && number_and_unit(rest).is_some_and(|(_, unit)| unit.len() >= 3)
        });
        if let Some((whole, rest)) = fraction {
            found.extend(number_and_unit(&format!("{whole}.{rest}")));
            continue;
        }
        let is_separator = |c: char| !(c.is_ascii_alphanumeric() || c == '.');
        found.extend(part.split(is_separator).filter_map(number_and_unit));
    }
    found
}

/// Splits `912.6M` and `1M6`.
fn number_and_unit(token: &str) -> Option<(f64, String)> {
    let is_digit = |c: char| c.is_ascii_digit() || c == '.';
    let (number, unit) = token.split_at(token.find(|c| !is_digit(c))?);
    let unit = unit.to_ascii_lowercase();
    if let Some(fraction) = unit.strip_prefix('m').filter(|rest| rest.parse::<u32>().is_ok()) {
        return Some((format!("{number}.{fraction}").parse().ok()?, "m".into()));
    }
    Some((number.parse().ok()?, unit))
}

/// Hertz in a unit of frequency.
fn hertz(unit: &str) -> f64 {
    match unit {
        "ghz" => 1e9,
        "mhz" | "m" => 1e6,
        "khz" => 1e3,
        _ => 1.0,
    }
}

/// Center frequency and sample rate in `…_912600000_2400000…`: nine digits, followed by those of a rate.
fn plain_numbers(stem: &str) -> (Option<f64>, Option<f64>) {
    let tokens: Vec<&str> = stem.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let pair = tokens.windows(2).find_map(|pair| {
        let [center_hz, rate_hz] = [pair[0], pair[1]].map(|token| token.parse::<u32>().ok().map(f64::from));
        let is_rate = |hz: &f64| (225e3..LOWEST_CENTER_HZ).contains(hz);
        (pair[0].len() == 9).then_some((center_hz?, rate_hz.filter(is_rate)?))
    });
    (pair.map(|pair| pair.0), pair.map(|pair| pair.1))
}

/// Time in `…_20260131_120000Z_…`.
fn start(stem: &str) -> Option<Timestamp> {
    let parts: Vec<&str> = stem.split('_').collect();
    parts.windows(2).find_map(|pair| {
        let (date, time) = (pair[0], pair[1].strip_suffix('Z')?);
        let civil = DateTime::strptime("%Y%m%d%H%M%S", format!("{date}{time}")).ok()?;
        (date.len() == 8 && time.len() == 6).then_some(())?;
        Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
    })
}

/// Parses `gqrx_YYYYMMDD_HHMMSS_<Hz>_<S/s>_fc.raw`, which holds complex floats.
fn parse_gqrx(stem: &str) -> Option<FilenameFacts> {
    let parts: Vec<&str> = stem.split('_').collect();
    match parts[..] {
        ["gqrx", _, _, hz, rate, "fc"] => Some(FilenameFacts {
            format: Some(Format::Cf32),
            sample_rate_hz: rate.parse().ok(),
            center_hz: hz.parse().ok(),
            start: None,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate_and_center(name: &str) -> (Option<f64>, Option<f64>) {
        let facts = parse(name);
        (facts.sample_rate_hz, facts.center_hz)
    }

    #[test]
    fn given_names_that_programs_write_then_rate_and_center_are_found() {
        assert_eq!(
            rate_and_center("g001_912.6M_2400k.cu8"),
            (Some(2.4e6), Some(912.6e6))
        );
        assert_eq!(
            rate_and_center("ert_scm_2555.904k.cu8"),
            (Some(2_555_904.0), None)
        );
        assert_eq!(
            rate_and_center("night-912600155Hz-2.4Msps.cs16"),
            (Some(2.4e6), Some(912_600_155.0))
        );
        assert_eq!(
            rate_and_center("gqrx_20240131_120000_912600000_2400000_fc.raw"),
            (Some(2.4e6), Some(912.6e6))
        );
        assert_eq!(rate_and_center("x_912.6M_2.4M.cu8"), (Some(2.4e6), Some(912.6e6)));
        assert_eq!(rate_and_center("2.4M_912.6M.cu8"), (Some(2.4e6), Some(912.6e6)));
        assert_eq!(
            rate_and_center("a_2048kHz_868.95MHz.cu8"),
            (Some(2.048e6), Some(868.95e6))
        );
        let sharp = "SDRSharp_20260131_120000Z_912600155Hz_IQ.wav";
        assert_eq!(rate_and_center(sharp), (None, Some(912_600_155.0)));
        assert_eq!(parse(sharp).start.unwrap().to_string(), "2026-01-31T12:00:00Z");
        for (name, rate_hz, center_hz) in [
            ("rtlsdr_868.950M_1M6_issue47.cu8", 1.6e6, 868.95e6),
            (
                "RTL-SDR-20260131_120000-912_6MHz-2_4MSps-2MHz.complex16u",
                2.4e6,
                912.6e6,
            ),
            ("HDSDR_20260131_120000Z_912600kHz_2400ksps.wav", 2.4e6, 912.6e6),
            (
                "baseband_912600155Hz_12-00-00_31-01-2026_2.4Msps.wav",
                2.4e6,
                912_600_155.0,
            ),
            ("meter_912600155_2359296.cu8", 2_359_296.0, 912_600_155.0),
        ] {
            assert_eq!(rate_and_center(name), (Some(rate_hz), Some(center_hz)), "{name}");
        }
        for name in [
            "cellar.cu8",
            "scm_12345678_99.cu8",
            "a_20260131_120000.cu8",
            "1700000000_5.cu8",
        ] {
            assert_eq!(rate_and_center(name), (None, None), "{name}");
        }
        assert_eq!(rate_and_center("1.2.3M_k.cu8"), (None, None));
    }

    #[test]
    fn given_an_extension_then_it_is_the_format() {
        for (name, format) in [
            ("a.cu8", Format::Cu8),
            ("a.CS8", Format::Cs8),
            ("a.b.cs16", Format::Cs16),
            ("a.cfile", Format::Cf32),
        ] {
            assert_eq!(parse(name).format, Some(format), "{name}");
        }
        assert_eq!(parse("a.wav").format, None);
    }
}
