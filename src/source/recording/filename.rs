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
/// them; Hz, kHz, MHz, GHz, sps, ksps and Msps are understood as well. Below 30 MHz, a frequency is a sample rate: `2.4M`.
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
    let is_separator = |c: char| !(c.is_ascii_alphanumeric() || c == '.');
    for token in stem.split(is_separator) {
        let digits = token
            .find(|c: char| !(c.is_ascii_digit() || c == '.'))
            .unwrap_or(token.len());
        let (number, unit) = token.split_at(digits);
        let Ok(number) = number.parse::<f64>() else {
            continue;
        };
        let (hz, is_rate) = match unit.to_ascii_lowercase().as_str() {
            "m" | "mhz" => (number * 1e6, number * 1e6 < LOWEST_CENTER_HZ),
            "ghz" => (number * 1e9, false),
            "khz" => (number * 1e3, number * 1e3 < LOWEST_CENTER_HZ),
            "hz" => (number, number < LOWEST_CENTER_HZ),
            "k" | "ksps" => (number * 1e3, true),
            "msps" => (number * 1e6, true),
            "sps" => (number, true),
            _ => continue,
        };
        if is_rate {
            facts.sample_rate_hz = Some(hz);
        } else {
            facts.center_hz = Some(hz);
        }
    }
    facts.start = start(stem);
    facts
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
        assert_eq!(rate_and_center("cellar.cu8"), (None, None));
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
