//! Recordings as programs and people leave them: containers, compression, sample rates, clicks.

use crate::support::*;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

/// Meters of the street of [`street`].
const METERS: [(&str, u64); 4] = [
    ("scm", 40_222_221),
    ("scmplus", 40_222_222),
    ("idm", 40_222_223),
    ("r900", 1_522_222_224),
];

/// Writes a recording of one message of each type at this rate, and returns its samples, cu8.
fn street(folder: &Path, sample_rate: u32) -> Vec<u8> {
    let mut scenario = format!("seconds = 1.0\nsample_rate = {sample_rate}\n");
    for (i, (kind, id)) in (0..).zip(METERS) {
        scenario += &format!(
            "[[meter]]\ntype = \"{kind}\"\nid = {id}\nert_type = 7\nat = 0.{}\nsnr_db = 15\noffset_hz = {}\n",
            1 + 2 * i,
            -60_000 + 40_000 * i
        );
    }
    let (from, to) = (folder.join("street.toml"), folder.join("street.cu8"));
    std::fs::write(&from, scenario).unwrap();
    let made = run(&["synth", from.to_str().unwrap(), "--out", to.to_str().unwrap()]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    std::fs::read(to).unwrap()
}

/// Ids in the lines of `metertap replay`, and its standard error.
fn replayed(args: &[&str]) -> (BTreeSet<u64>, String) {
    let output = run(&[&["replay", "--format", "json"], args].concat());
    let lines = json_lines(&output.stdout);
    let id = |line: &serde_json::Value| {
        let message = &line["Message"];
        let keys = ["ID", "EndpointID", "ERTSerialNumber"];
        keys.iter().find_map(|key| message[key].as_u64()).unwrap()
    };
    (
        lines.iter().map(id).collect(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

fn all_ids() -> BTreeSet<u64> {
    METERS.iter().map(|(_, id)| *id).collect()
}

/// Writes `bytes` as `name` and expects all meters in it; returns standard error.
fn assert_all(folder: &Path, name: &str, bytes: &[u8], flags: &[&str]) -> String {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    let (ids, stderr) = replayed(&[&[path.to_str().unwrap()], flags].concat());
    assert_eq!(ids, all_ids(), "{name}: {stderr}");
    stderr
}

fn wav(samples: &[u8], sample_rate: u32, data_bytes: u32) -> Vec<u8> {
    wav_of(8, samples, sample_rate, data_bytes)
}

/// WAV file of integers of so many bits.
fn wav_of(bits: u16, samples: &[u8], sample_rate: u32, data_bytes: u32) -> Vec<u8> {
    let frame = 2 * bits / 8;
    let mut file = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x02\0".to_vec();
    file.extend(sample_rate.to_le_bytes());
    file.extend((u32::from(frame) * sample_rate).to_le_bytes());
    file.extend(frame.to_le_bytes());
    file.extend(bits.to_le_bytes());
    file.extend(b"data");
    file.extend(data_bytes.to_le_bytes());
    file.extend(samples);
    file
}

#[test]
fn given_wav_then_its_header_says_format_and_rate_whatever_sizes_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let samples = street(dir.path(), 1_024_000);
    for data_bytes in [samples.len() as u32, 0, u32::MAX] {
        let file = wav(&samples, 1_024_000, data_bytes);
        let stderr = assert_all(
            dir.path(),
            "SDRSharp_20260131_120000Z_912600155Hz_IQ.wav",
            &file,
            &[],
        );
        assert_eq!(stderr, "", "header and name say all");
    }
}

#[test]
fn given_gzip_then_it_is_unpacked_and_other_compression_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let samples = street(dir.path(), 1_024_000);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&samples).unwrap();
    let packed = encoder.finish().unwrap();
    for name in ["a_912.6M_1024k.cu8.gz", "b_912.6M_1.024M.cu8"] {
        assert_all(dir.path(), name, &packed, &[]);
    }
    let path = dir.path().join("c.cu8.zst");
    std::fs::write(&path, [0x28, 0xB5, 0x2F, 0xFD, 1, 2, 3]).unwrap();
    let (_, stderr) = replayed(&[path.to_str().unwrap()]);
    assert!(stderr.contains("compressed with zstd"), "{stderr}");
}

#[test]
fn given_rates_below_one_and_above_three_million_then_all_types_are_received() {
    for rate in [250_000, 262_144, 500_000, 960_000, 4_000_000, 10_000_000] {
        let dir = tempfile::tempdir().unwrap();
        let samples = street(dir.path(), rate);
        assert_all(dir.path(), &format!("a_{rate}sps.cu8"), &samples, &[]);
    }
}

#[test]
fn given_a_slow_recording_then_frequency_level_and_place_are_those_that_were_sent() {
    let dir = tempfile::tempdir().unwrap();
    street(dir.path(), 250_000);
    let path = dir.path().join("street.cu8");
    let output = run(&[
        "replay",
        "--sample-rate",
        "250000",
        "--signal",
        "--format",
        "json",
        path.to_str().unwrap(),
    ]);
    let lines = json_lines(&output.stdout);
    assert_eq!(lines.len(), METERS.len());
    for (i, line) in (0..).zip(&lines) {
        let (signal, offset_hz) = (&line["signal"], f64::from(-60_000 + 40_000 * i));
        assert!(
            (signal["offset_hz"].as_f64().unwrap() - offset_hz).abs() < 50.0,
            "{line}"
        );
        assert!((signal["snr_db"].as_f64().unwrap() - 15.0).abs() < 1.0, "{line}");
        let begin = 500_000.0 * (0.1 + 0.2 * f64::from(i));
        assert!(
            (line["Offset"].as_f64().unwrap() - begin).abs() < 1000.0,
            "{line}"
        );
    }
}

#[test]
fn given_a_click_in_the_first_block_then_a_strong_meter_soon_after_is_received() {
    let dir = tempfile::tempdir().unwrap();
    let samples = street(dir.path(), 1_024_000);
    for click in [1, 16, 400] {
        let mut clicked = samples.clone();
        clicked[..2 * click].fill(0);
        assert_all(dir.path(), "click_1024k.cu8", &clicked, &[]);
    }
}

#[test]
fn given_wav_of_24_or_32_bits_then_all_types_are_received() {
    let dir = tempfile::tempdir().unwrap();
    let samples = street(dir.path(), 1_024_000);
    for bits in [24, 32] {
        let widened = |sample: &u8| {
            // The noise of the lower bytes is none of the signal.
            let mut wide = vec![0x55; usize::from(bits / 8)];
            let [.., top] = &mut wide[..] else { unreachable!() };
            *top = sample.wrapping_sub(128);
            wide
        };
        let wide: Vec<u8> = samples.iter().flat_map(widened).collect();
        let file = wav_of(bits, &wide, 1_024_000, wide.len() as u32);
        assert_all(dir.path(), "baseband_912600155Hz.wav", &file, &[]);
    }
}

#[test]
fn given_sigmf_with_several_captures_then_each_has_its_time_and_frequency() {
    let dir = tempfile::tempdir().unwrap();
    let samples = street(dir.path(), 1_024_000);
    let seconds = [samples.clone(), samples.clone(), samples].concat();
    std::fs::write(dir.path().join("a.sigmf-data"), seconds).unwrap();
    let meta = r#"{"global": {"core:datatype": "cu8", "core:sample_rate": 1024000, "core:version": "1.0.0"}, "captures": [
        {"core:sample_start": 0, "core:frequency": 910e6, "core:datetime": "2026-01-31T12:00:00Z"},
        {"core:sample_start": 1024000, "core:frequency": 920e6, "core:datetime": "2026-02-01T08:30:00Z"},
        {"core:sample_start": 2048000}]}"#;
    let path = dir.path().join("a.sigmf-meta");
    std::fs::write(&path, meta).unwrap();
    let starts = |flags: &[&str]| -> Vec<String> {
        let output = run(&[&["replay", "--format", "json", path.to_str().unwrap()], flags].concat());
        let lines = json_lines(&output.stdout);
        // The SCM of each capture, 0.1 s after its start.
        let scm = lines.iter().filter(|line| line["Type"] == "SCM");
        let time = |line: &serde_json::Value| line["Time"].as_str().unwrap()[..21].to_owned();
        scm.map(time).collect()
    };
    assert_eq!(
        starts(&[]),
        [
            "2026-01-31T12:00:00.1",
            "2026-02-01T08:30:00.1",
            "2026-02-01T08:30:01.1"
        ]
    );
    // A start that is given moves all of them.
    assert_eq!(
        starts(&["--start", "2026-01-31T13:00:00Z"]),
        [
            "2026-01-31T13:00:00.1",
            "2026-02-01T09:30:00.1",
            "2026-02-01T09:30:01.1"
        ]
    );
}

#[test]
fn given_a_rate_that_is_a_little_off_then_the_chips_of_the_meters_tell_the_right_one() {
    let dir = tempfile::tempdir().unwrap();
    street(dir.path(), 1_024_000);
    let path = dir.path().join("street.cu8");
    let (ids, stderr) = replayed(&["--sample-rate", "1024900", path.to_str().unwrap()]);
    assert_eq!(ids, all_ids());
    // 0.088 %: within what is decoded.
    let rate = stderr
        .split("--sample-rate ")
        .nth(1)
        .and_then(|rest| rest.split(')').next());
    let rate: f64 = rate.unwrap_or_default().parse().unwrap_or_default();
    assert!((rate / 1_024_000.0 - 1.0).abs() < 1e-4, "{stderr}");
    let (_, stderr) = replayed(&["--sample-rate", "1024000", path.to_str().unwrap()]);
    assert!(!stderr.contains("--sample-rate"), "{stderr}");
}

#[test]
fn given_sigmf_without_metadata_then_flags_are_enough() {
    let dir = tempfile::tempdir().unwrap();
    let samples = street(dir.path(), 1_024_000);
    let flags = ["--sample-rate", "1024000", "--sample-format", "cu8"];
    assert_all(dir.path(), "a.sigmf-data", &samples, &flags);
    let (_, stderr) = replayed(&[dir.path().join("a.sigmf-data").to_str().unwrap()]);
    assert!(stderr.contains("a.sigmf-meta: not found"), "{stderr}");
}

#[test]
fn given_noise_or_silence_then_the_failure_says_which_and_the_level() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(
        path("noise.toml"),
        "seconds = 0.5\nsample_rate = 1024000\nnoise_dbfs = -30\n",
    )
    .unwrap();
    let made = run(&["synth", &path("noise.toml"), "--out", &path("noise_1024k.cu8")]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let (_, stderr) = replayed(&[&path("noise_1024k.cu8")]);
    assert!(stderr.contains("nothing but noise at -30 dBFS"), "{stderr}");
    std::fs::write(path("silence_1024k.cu8"), vec![128; 1 << 19]).unwrap();
    let (_, stderr) = replayed(&[&path("silence_1024k.cu8")]);
    assert!(stderr.contains("nothing but silence"), "{stderr}");
}

#[test]
fn given_a_wrong_rate_then_the_failure_says_what_was_tried() {
    let dir = tempfile::tempdir().unwrap();
    street(dir.path(), 1_024_000);
    let path = dir.path().join("street.cu8");
    let (ids, stderr) = replayed(&["--sample-rate", "2048000", path.to_str().unwrap()]);
    assert!(ids.is_empty());
    assert!(
        stderr.contains("read as cu8 at 2048000 S/s") && stderr.contains("bursts"),
        "{stderr}"
    );
    assert!(stderr.contains("use --sample-rate 1024000"), "{stderr}");
}
