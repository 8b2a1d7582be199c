//! America's FSK meters: modulated samples through the real program, and through rtl_433 as a second opinion.

use crate::support::*;
use metertap_decode::ert::{Dialog3g, HotRod, Orion, OrionEndpoint};
use metertap_dsp::synth::Random;
use metertap_dsp::wmbus::synth::{Transmission, transmission};
use metertap_dsp::wmbus::{Format, Mode};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

const RATE_HZ: f64 = 2_359_296.0;

fn orion() -> Orion {
    Orion {
        id: 1_148_381,
        flags: 0,
        consumption: 1_006_987,
        status: 5,
    }
}

fn endpoint() -> OrionEndpoint {
    OrionEndpoint {
        id: 140_466_920,
        unkn1: 0,
        flags: 0x0B_6103,
        consumption: 46_088,
        daily_consumption: 46_074,
        status: 0x10,
    }
}

fn hot_rod() -> HotRod {
    HotRod {
        id: 14_000_023,
        consumption: 412_345,
        flags: 2,
    }
}

fn dialog() -> Dialog3g {
    Dialog3g {
        id: 3_077_959,
        suffix: 0x27,
        unit_code: 0,
        consumption: 9567,
        flags: 0x6B,
        unkn1: 0x0008,
    }
}

fn sent(mode: Mode, frame: &[u8], start_s: f64, offset_hz: f64, snr_db: f64) -> Transmission {
    Transmission {
        offset_hz,
        ..transmission(mode, Format::A, frame, start_s, snr_db)
    }
}

/// Writes transmissions in noise, as a dongle would give them.
fn record(file: &Path, rate_hz: f64, seconds: f64, sent: &[Transmission]) {
    let mut random = Random::new(11);
    let mut samples: Vec<_> = (0..(seconds * rate_hz) as usize)
        .map(|_| random.gaussian())
        .collect();
    sent.iter().for_each(|sent| sent.add(rate_hz, &mut samples));
    let strongest_db = sent.iter().map(|sent| sent.snr_db).fold(0.0, f64::max);
    let scale = (0.7 / 10f64.powf(strongest_db / 20.0)).min(0.08) as f32;
    write_cu8(file, samples, scale);
}

/// Writes half a second of the band with a meter of each kind, two of them at once.
fn air(folder: &Path) -> PathBuf {
    let file = folder.join("air_915.8M_2359.296k.cu8");
    let sent = [
        sent(Mode::Orion, &orion().encode(), 0.1, 650e3, 6.0),
        sent(Mode::OrionEndpoint, &endpoint().encode(), 0.1, -840e3, 8.0),
        sent(Mode::HotRod, &hot_rod().encode(), 0.2, -130e3, 6.0),
        sent(Mode::Dialog3g, &dialog().encode(), 0.3, 200e3, 6.0),
    ];
    record(&file, RATE_HZ, 0.5, &sent);
    file
}

fn replayed(file: &Path, more: &[&str]) -> Vec<u8> {
    let mut args = vec!["replay", file.to_str().unwrap(), "--start=2026-01-15T12:00:00Z"];
    args.extend(more);
    stdout_of(&args)
}

#[test]
fn given_a_meter_of_each_kind_then_each_message_is_a_line_with_its_fields() {
    let dir = tempfile::tempdir().unwrap();
    let file = air(dir.path());
    let json = |more: &[&str]| json_lines(&replayed(&file, &[&["--format", "json"], more].concat()));
    let mut lines = json(&["--band", "915-fsk", "--signal"]);
    lines.sort_by_key(|line| line["Type"].to_string());
    let messages: Vec<String> = lines
        .iter()
        .map(|line| format!("{} {}", line["Type"].as_str().unwrap(), line["Message"]))
        .collect();
    assert_eq!(
        messages,
        [
            r#"Dialog3G {"ID":3077959,"Suffix":39,"Unit":0,"Consumption":9567,"Flags":107,"Unkn1":8}"#,
            r#"HotRod {"ID":14000023,"Consumption":412345,"Flags":2}"#,
            r#"Orion {"ID":1148381,"Flags":0,"Consumption":1006987,"Status":5}"#,
            r#"OrionEndpoint {"ID":140466920,"Unkn1":0,"Flags":745731,"Consumption":46088,"DailyConsumption":46074,"Status":16}"#,
        ]
    );
    let offset_hz = lines[2]["signal"]["offset_hz"].as_f64().unwrap();
    assert!((offset_hz - 650e3).abs() < 2e3, "{offset_hz}");
    let types = |modes: &str| {
        let lines = json(&["--modes", modes]);
        lines
            .iter()
            .map(|line| line["Type"].to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(types("hotrod"), ["\"HotRod\""]);
    assert_eq!(types("dialog3g, hotrod"), ["\"HotRod\"", "\"Dialog3G\""]);
    let text = |format: &str| {
        let text = replayed(&file, &["--modes", "hotrod", "--format", format]);
        String::from_utf8(text).unwrap()
    };
    assert!(text("plain").ends_with("HotRod:{ID:14000023 Consumption: 412345 Flags:0x2}}\n"));
    assert!(text("csv").ends_with(",14000023,412345,0x2\n"));
    assert!(text("xml").contains(r#"Type="HotRod"><Message ID="14000023" Consumption="412345" Flags="2">"#));
}

#[test]
fn given_a_radio_of_the_band_then_meters_of_this_home_are_published_and_announced_in_their_unit() {
    let dir = tempfile::tempdir().unwrap();
    let file = air(dir.path());
    let broker = Broker::start();
    let mut daemon = Daemon::start(&format!(
        "[mqtt]\nhost = \"127.0.0.1\"\nport = {}\nretain = true\n[homeassistant]\n\
         [[radio]]\nname = \"roof\"\nsource = \"{}\"\nband = \"915-fsk\"\nstart = \"2026-01-15T12:00:00Z\"\n\
         [[meter]]\nid = 140466920\nname = \"Water\"\nunit = \"gal\"\nscale = 0.1\n\
         [[meter]]\nid = 3077959\nprotocol = \"dialog3g\"\n",
        broker.port,
        file.display()
    ));
    daemon.wait_for_success();
    let retained = broker.retained("#");
    let reading = |topic: &str| {
        let found = retained.iter().find(|(of, _)| of == topic);
        let (_, payload) = found.unwrap_or_else(|| panic!("no {topic} in {retained:?}"));
        serde_json::from_str::<Value>(payload).unwrap()
    };
    let water = reading("readings/140466920/orionendpoint");
    assert_eq!(
        water["reading"].to_string(),
        r#"{"total":{"value":4608.8,"unit":"gal"}}"#
    );
    assert_eq!(water["commodity"], "water");
    assert_eq!(water["flags"]["leak_now"], "detected");
    assert_eq!(
        reading("readings/3077959/dialog3g")["reading"]["count"]["value"],
        9567
    );
    let strangers = ["readings/1148381/orion", "readings/14000023/hotrod"];
    assert!(
        retained
            .iter()
            .all(|(topic, _)| !strangers.contains(&topic.as_str()))
    );
    let announced = retained
        .iter()
        .find(|(topic, payload)| topic.starts_with("homeassistant/") && payload.contains("140466920"));
    let (_, announced) = announced.expect("an announcement");
    for part in [
        r#""manufacturer":"Badger""#,
        r#""device_class":"water""#,
        r#""unit_of_measurement":"gal""#,
        "leak",
    ] {
        assert!(announced.contains(part), "{part}: {announced}");
    }
}

#[test]
fn given_the_number_on_a_dial_then_find_tells_the_meter() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("air_915.8M_2359.296k.cu8");
    let frame = hot_rod().encode();
    let twice = [0.1, 0.3].map(|start_s| sent(Mode::HotRod, &frame, start_s, 70e3, 6.0));
    record(&file, RATE_HZ, 0.4, &twice);
    let path = file.to_str().unwrap();
    let found = stdout_of(&["find", "--band", "915-fsk", "--file", path, "--reading", "412345"]);
    let text = String::from_utf8(found).unwrap();
    assert!(text.contains("Your meter is 14000023 (hotrod water)."), "{text}");
}

#[cfg(feature = "rtlsdr")]
#[test]
fn given_a_dongle_then_listen_scan_and_doctor_hear_the_meters_around_their_center() {
    let dir = tempfile::tempdir().unwrap();
    let file = air(dir.path());
    let mut dongles = Dongles::plugged("00000042");
    dongles.set("file", &file.display().to_string());
    let (ok, text, _) = dongles.run(&["listen", "--modes", "orion", "--single", "--filterid", "1148381"]);
    assert!(ok && text.contains(r#""Consumption":1006987"#), "{text}");
    assert!(dongles.log().contains("915800000"), "{}", dongles.log());
    let (ok, text, _) = dongles.run(&[
        "doctor",
        "--band",
        "915-fsk",
        "--seconds",
        "3",
        "--source",
        "rtlsdr",
    ]);
    assert!(ok && text.contains("ok   meters "), "{text}");
    let scan = [
        "scan", "--band", "915-fsk", "--from", "915.8M", "--to", "915.8M", "--dwell", "3", "--gain", "30",
    ];
    let (ok, text, _) = dongles.run(&scan);
    assert!(
        ok && text.contains("band = \"915-fsk\"\ncenter_freq = 915800000"),
        "{text}"
    );
}

#[test]
fn given_modes_that_do_not_fit_the_band_or_each_other_then_the_configuration_says_so() {
    for (keys, expected) in [
        ("modes = [\"hotrodd\"]", "`hotrodd` is not a mode"),
        ("modes = [\"orion\", \"t1\"]", "each needs a radio of its own"),
        (
            "band = \"868\"\nmodes = [\"orion\"]",
            "modes of band = \"915-fsk\"",
        ),
        (
            "band = \"915-fsk\"\nmodes = [\"c1\"]",
            "has the modes orion, hotrod and dialog3g",
        ),
    ] {
        let (ok, text) = checked(&format!("[[radio]]\nsource = \"rtlsdr\"\n{keys}\n"));
        assert!(!ok && text.contains(expected), "{text}");
    }
    for keys in [
        "band = \"915-fsk\"\ncenter_freq = \"hop\"",
        "modes = [\"orion\", \"dialog3g\"]",
        "band = \"915\"\nmodes = [\"hotrod\"]",
    ] {
        let (ok, text) = checked(&format!("[[radio]]\nsource = \"rtlsdr\"\n{keys}\n"));
        assert!(ok, "{keys}: {text}");
    }
    let output = run(&["replay", "-", "--modes", "orion,t1"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && text.contains("each needs a radio of its own"),
        "{text}"
    );
}

/// What rtl_433 prints of a recording with its decoder `number`.
fn by_rtl_433(number: &str, file: &Path, rate_hz: f64) -> Vec<Value> {
    let program = std::env::var_os("RTL_433").unwrap_or_else(|| "rtl_433".into());
    let output = Command::new(program)
        .args([
            "-c",
            "0",
            "-R",
            number,
            "-F",
            "json",
            "-s",
            &rate_hz.to_string(),
            "-r",
        ])
        .arg(file)
        .output()
        .unwrap();
    json_lines(&output.stdout)
}

/// Returns what rtl_433 and this program print of one strong frame in a recording at a rate that rtl_433 copes with, as text by field.
fn both(number: &str, mode: Mode, frame: &[u8], rate_hz: f64) -> [impl Fn(&str) -> String + use<>; 2] {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(format!("one_916M_{}k.cu8", rate_hz / 1e3));
    let mut one = sent(mode, frame, 0.05, 20e3, 28.0);
    if number == "290" {
        (one.chip_rate_hz, one.deviation_hz) = (2.0 * one.chip_rate_hz, 1.6 * one.deviation_hz);
    }
    record(&file, rate_hz, 0.15, &[one]);
    let theirs = by_rtl_433(number, &file, rate_hz);
    let ours = json_lines(&replayed(&file, &["--band", "915-fsk", "--format", "json"]));
    assert_eq!((theirs.len(), ours.len()), (1, 1), "{theirs:?} {ours:?}");
    [theirs[0].clone(), ours[0]["Message"].clone()]
        .map(|fields| move |name: &str| fields[name].to_string().trim_matches('"').to_owned())
}

#[needs(rtl_433)]
#[test]
fn rtl_433_reads_our_orion_as_we_do() {
    let [theirs, ours] = both("223", Mode::Orion, &orion().encode(), 1.6e6);
    for (their_name, our_name) in [
        ("id", "ID"),
        ("volume_gal", "Consumption"),
        ("flags_1", "Flags"),
        ("flags_2", "Status"),
    ] {
        assert_eq!(theirs(their_name), ours(our_name), "{our_name}");
    }
}

#[needs(rtl_433_2025)]
#[test]
fn rtl_433_reads_our_endpoints_hot_rod_and_dialog_as_we_do() {
    for number in ["282", "290"] {
        let [theirs, ours] = both(number, Mode::OrionEndpoint, &endpoint().encode(), 1.6e6);
        assert_eq!(theirs("id"), ours("ID"));
        assert_eq!(theirs("reading"), ours("Consumption"));
        assert_eq!(theirs("daily_reading"), ours("DailyConsumption"));
        assert_eq!(theirs("flags_1"), ours("Flags"));
        assert_eq!(theirs("leaking"), "1");
    }
    let [theirs, ours] = both("255", Mode::HotRod, &hot_rod().encode(), 1.0e6);
    assert_eq!(theirs("id"), ours("ID"));
    assert_eq!(theirs("volume_gal"), ours("Consumption"));
    assert_eq!(theirs("flag"), ours("Flags"));
    let [theirs, ours] = both("260", Mode::Dialog3g, &dialog().encode(), 1.6e6);
    assert_eq!(theirs("id"), format!("{:0>8}-27", ours("ID")));
    assert_eq!(ours("Consumption"), "9567");
    assert_eq!((theirs("volume"), theirs("unit")), ("956.7".into(), "gal".into()));
    assert_eq!(theirs("leaking"), "1");
}
