//! SigMF recordings (<https://sigmf.org>): `x.sigmf-meta`, which is JSON, beside `x.sigmf-data`.

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use metertap_dsp::iq::Format;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Metadata of a recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Meta {
    /// File that holds the samples.
    pub data: PathBuf,
    pub format: Format,
    pub sample_rate_hz: f64,
    pub center_hz: Option<f64>,
    pub start: Option<Timestamp>,
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
    datatype: String,
    #[serde(rename = "core:sample_rate")]
    sample_rate_hz: f64,
    #[serde(rename = "core:num_channels", default = "one_channel")]
    channels: u64,
}

fn one_channel() -> u64 {
    1
}

#[derive(Default, Deserialize)]
struct Capture {
    #[serde(rename = "core:frequency")]
    center_hz: Option<f64>,
    #[serde(rename = "core:datetime")]
    start: Option<Timestamp>,
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

/// Reads the metadata; `path` is either file of the recording.
///
/// # Errors
/// Returns an error if the file is missing, is not JSON, or describes samples of an unsupported kind.
pub fn read(path: &Path) -> Result<Meta> {
    if path.extension().is_some_and(|e| e == "sigmf") {
        bail!(
            "{}: is a SigMF archive: unpack it first with tar xf {0}",
            path.display()
        );
    }
    let meta = path.with_extension("sigmf-meta");
    let text = std::fs::read_to_string(&meta).with_context(|| format!("{}", meta.display()))?;
    let file: File = serde_json::from_str(&text)
        .with_context(|| format!("{}: is not the metadata of a recording", meta.display()))?;
    let format = match file.global.datatype.as_str() {
        "cu8" => Format::Cu8,
        "ci8" => Format::Cs8,
        "ci16_le" => Format::Cs16,
        "cf32_le" => Format::Cf32,
        other => bail!(
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
    let capture = file.captures.into_iter().next().unwrap_or_default();
    Ok(Meta {
        data: path.with_extension("sigmf-data"),
        format,
        sample_rate_hz: file.global.sample_rate_hz,
        center_hz: capture.center_hz,
        start: capture.start,
    })
}
