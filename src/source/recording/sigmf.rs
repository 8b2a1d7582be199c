//! SigMF recordings (<https://sigmf.org>): `x.sigmf-meta`, which is JSON, beside `x.sigmf-data`.

use crate::source::recording::overrides::RecordingOverrides;
use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use metertap_dsp::iq::Format;
use serde::Deserialize;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Metadata of a recording, as far as it is there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Meta {
    /// File that holds the samples.
    pub data: PathBuf,
    pub format: Option<Format>,
    pub sample_rate_hz: Option<f64>,
    pub center_hz: Option<f64>,
    pub start: Option<Timestamp>,
    /// Captures after the first, in order.
    pub captures: Vec<Segment>,
    /// Assumptions made for lack of information, one sentence each.
    pub assumed: Vec<String>,
}

/// Part of a recording that was made at a time or frequency of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Segment {
    /// Number of its first sample.
    pub first_sample: u64,
    /// Center frequency; that of the segment before if not known.
    pub center_hz: Option<f64>,
    /// Time of its first sample; without a gap after the segment before if not known.
    pub start: Option<Timestamp>,
}

impl Meta {
    /// No metadata about the samples in `data`.
    pub fn of(data: PathBuf) -> Self {
        Meta {
            data,
            ..Meta::default()
        }
    }
}

#[derive(Deserialize)]
struct File {
    global: Global,
    #[serde(default)]
    captures: Vec<Capture>,
}

#[derive(Deserialize)]
struct Global {
    #[serde(rename = "core:datatype")]
    datatype: Option<String>,
    #[serde(rename = "core:sample_rate")]
    sample_rate_hz: Option<f64>,
    #[serde(rename = "core:num_channels", default = "one_channel")]
    channels: u64,
}

fn one_channel() -> u64 {
    1
}

#[derive(Default, Deserialize)]
struct Capture {
    #[serde(rename = "core:sample_start", default)]
    first_sample: u64,
    #[serde(rename = "core:frequency")]
    center_hz: Option<f64>,
    #[serde(rename = "core:datetime")]
    start: Option<String>,
}

/// Writes the metadata of a recording of cu8 samples.
pub fn metadata(sample_rate_hz: f64, center_hz: f64, start: Timestamp) -> String {
    let metadata = serde_json::json!({
        "global": {
            "core:datatype": "cu8",
            "core:sample_rate": sample_rate_hz,
            "core:version": "1.0.0",
            "core:recorder": concat!("metertap ", env!("CARGO_PKG_VERSION")),
        },
        "captures": [{
            "core:sample_start": 0,
            "core:frequency": center_hz,
            "core:datetime": start.to_string(),
        }],
        "annotations": [],
    });
    format!("{metadata:#}\n")
}

/// Returns true if `path` is one of the two files of a SigMF recording, or a SigMF archive.
pub fn is_sigmf(path: &Path) -> bool {
    path.extension()
        .is_some_and(|e| e == "sigmf-meta" || e == "sigmf-data" || e == "sigmf")
}

/// Reads the metadata; `path` is either file of the recording. Without a metadata file, the user must have stated format
/// and sample rate.
///
/// # Errors
/// Returns an error if the file is missing, is not JSON, or describes samples of an unsupported kind.
pub fn read(path: &Path, overrides: &RecordingOverrides) -> Result<Meta> {
    if path.extension().is_some_and(|e| e == "sigmf") {
        bail!(
            "{}: is a SigMF archive: unpack it first with tar xf {0}",
            path.display()
        );
    }
    let meta = path.with_extension("sigmf-meta");
    let data = path.with_extension("sigmf-data");
    let text = match std::fs::read_to_string(&meta) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound && data.exists() => {
            if overrides.format.is_some() && overrides.sample_rate_hz.is_some() {
                return Ok(Meta::of(data));
            }
            bail!(
                "{}: not found; without it, --sample-format and --sample-rate must say what the samples are",
                meta.display()
            );
        }
        Err(error) => return Err(error).with_context(|| format!("{}", meta.display())),
    };
    // Some editors write a byte order mark.
    let file: File = serde_json::from_str(text.trim_start_matches('\u{feff}'))
        .with_context(|| format!("{}: is not the metadata of a recording", meta.display()))?;
    let format = match file.global.datatype.as_deref() {
        None => None,
        Some("cu8") => Some(Format::Cu8),
        Some("ci8") => Some(Format::Cs8),
        Some("ci16_le") => Some(Format::Cs16),
        Some("cf32_le") => Some(Format::Cf32),
        Some(_) if overrides.format.is_some() => None,
        Some(other) => bail!(
            "{}: unsupported core:datatype `{other}`: expected cu8, ci8, ci16_le or cf32_le",
            meta.display()
        ),
    };
    if file.global.channels != 1 {
        bail!(
            "{}: expected one channel, found {}",
            meta.display(),
            file.global.channels
        );
    }
    let mut assumed = Vec::new();
    let mut segments: Vec<Segment> = file
        .captures
        .iter()
        .map(|capture| Segment {
            first_sample: capture.first_sample,
            center_hz: capture.center_hz,
            start: capture.start.as_deref().and_then(|text| time(text, &mut assumed)),
        })
        .collect();
    // The specification wants them in this order.
    segments.sort_by_key(|segment| segment.first_sample);
    let first = segments.first().copied();
    // One that begins later than the file is a change like any other.
    let from = usize::from(first.is_some_and(|first| first.first_sample == 0));
    Ok(Meta {
        data,
        format,
        sample_rate_hz: file.global.sample_rate_hz,
        center_hz: first.and_then(|first| first.center_hz),
        start: first.and_then(|first| first.start),
        captures: segments.split_off(from.min(segments.len())),
        assumed,
    })
}

/// Parses a `core:datetime`; one without a zone is UTC, as the specification wants all to be.
fn time(text: &str, assumed: &mut Vec<String>) -> Option<Timestamp> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time);
    }
    let civil = text.parse::<DateTime>().ok();
    let time = civil.and_then(|civil| Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp()));
    assumed.push(match time {
        Some(_) => format!("assuming that `{text}` is UTC (change with --start)"),
        None => format!("ignoring core:datetime `{text}`, which is not a time"),
    });
    time
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta_of(text: &str) -> Result<Meta> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sigmf-meta");
        std::fs::write(&path, text).unwrap();
        read(&path, &RecordingOverrides::default())
    }

    #[test]
    fn given_only_what_the_specification_demands_then_the_rest_is_open() {
        let meta = meta_of(r#"{"global":{"core:datatype":"ci16_le","core:version":"1.0.0"}}"#).unwrap();
        assert_eq!((meta.format, meta.sample_rate_hz), (Some(Format::Cs16), None));
        assert_eq!((meta.center_hz, meta.start, meta.assumed.len()), (None, None, 0));
    }

    #[test]
    fn given_a_byte_order_mark_and_a_time_without_zone_then_both_are_read() {
        let text = "\u{feff}{\"global\":{\"core:datatype\":\"cu8\"},\"captures\":[{\"core:datetime\":\"2026-01-31T12:00:00\"}]}";
        let meta = meta_of(text).unwrap();
        assert_eq!(meta.start.unwrap().to_string(), "2026-01-31T12:00:00Z");
        assert_eq!(
            meta.assumed,
            ["assuming that `2026-01-31T12:00:00` is UTC (change with --start)"]
        );
        let meta = meta_of(&text.replace("2026-01-31T12:00:00", "noon")).unwrap();
        assert_eq!((meta.start, meta.assumed.len()), (None, 1));
    }

    #[test]
    fn given_several_captures_then_each_has_its_frequency() {
        let text = r#"{"global":{"core:datatype":"cu8"},"captures":[{"core:sample_start":0,"core:frequency":9.1e8},
            {"core:sample_start":5000,"core:frequency":9.2e8}]}"#;
        let meta = meta_of(text).unwrap();
        assert_eq!(
            (meta.center_hz, meta.captures),
            (
                Some(9.1e8),
                vec![Segment {
                    first_sample: 5000,
                    center_hz: Some(9.2e8),
                    start: None
                }]
            )
        );
    }

    #[test]
    fn given_no_metadata_then_flags_must_say_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.sigmf-data");
        std::fs::write(&path, [0; 8]).unwrap();
        let refusal = read(&path, &RecordingOverrides::default())
            .unwrap_err()
            .to_string();
        assert!(refusal.contains("--sample-format and --sample-rate"), "{refusal}");
        let all = RecordingOverrides {
            format: Some(Format::Cu8),
            sample_rate_hz: Some(1e6),
            ..RecordingOverrides::default()
        };
        assert_eq!(read(&path, &all).unwrap(), Meta::of(path));
    }
}
