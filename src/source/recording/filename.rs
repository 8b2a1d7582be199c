//! Facts in the name of a recording: `g001_912.6M_2400k.cu8` is 912.6 MHz at 2 400 000 S/s.

use metertap_dsp::iq::Format;

/// Facts found in a file name.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FilenameFacts {
    pub format: Option<Format>,
    pub sample_rate_hz: Option<f64>,
    pub center_hz: Option<f64>,
}

/// Parses the name of a file. A number with `M` is a center frequency and one with `k` a sample rate, as rtl_433 writes
/// them; Hz, kHz, MHz, GHz, sps, ksps and Msps are understood as well. The extension is the format.
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
        match unit.to_ascii_lowercase().as_str() {
            "m" | "mhz" => facts.center_hz = Some(number * 1e6),
            "ghz" => facts.center_hz = Some(number * 1e9),
            "khz" => facts.center_hz = Some(number * 1e3),
            "hz" => facts.center_hz = Some(number),
            "k" | "ksps" => facts.sample_rate_hz = Some(number * 1e3),
            "msps" => facts.sample_rate_hz = Some(number * 1e6),
            "sps" => facts.sample_rate_hz = Some(number),
            _ => {}
        }
    }
    facts
}

/// Parses `gqrx_YYYYMMDD_HHMMSS_<Hz>_<S/s>_fc.raw`, which holds complex floats.
fn parse_gqrx(stem: &str) -> Option<FilenameFacts> {
    let parts: Vec<&str> = stem.split('_').collect();
    match parts[..] {
        ["gqrx", _, _, hz, rate, "fc"] => Some(FilenameFacts {
            format: Some(Format::Cf32),
            sample_rate_hz: rate.parse().ok(),
            center_hz: hz.parse().ok(),
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
