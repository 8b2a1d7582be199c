//! The tools around a dongle, through the real program.

use crate::support::*;

#[test]
fn given_a_healthy_dongle_and_a_broker_then_the_doctor_finds_all_well() {
    let broker = Broker::start();
    let (ok, text, _) =
        Dongles::plugged("00000042").run(&["doctor", "--seconds", "2", "--mqtt", &broker.url()]);
    assert!(ok, "{text}");
    for line in [
        "ok   receiver",
        "ok   samples",
        "ok   level",
        "ok   meters",
        "ok   broker",
        "All is well.",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn given_a_fault_then_the_doctor_names_the_remedy() {
    let mut dongles = Dongles::plugged("00000042");
    let port = free_port();
    let broker = format!("mqtt://127.0.0.1:{port}");
    dongles.set("full_gain", "0");
    let (ok, text, _) = dongles.run(&["doctor", "--seconds", "1", "--gain", "40", "--mqtt", &broker]);
    assert!(
        !ok && text.contains("BAD  level") && text.contains("lower the gain"),
        "{text}"
    );
    assert!(text.contains("BAD  broker") && text.contains("refused"), "{text}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("metertap.toml");
    let text = format!(
        "[[radio]]\nsource = \"rtlsdr\"\nserve_rtl_tcp = \"{}\"\n",
        taken.local_addr().unwrap()
    );
    std::fs::write(&config, text).unwrap();
    let (ok, text, _) = dongles.run(&["doctor", "--seconds", "1", "--config", config.to_str().unwrap()]);
    assert!(!ok && text.contains("BAD  port"), "{text}");
    dongles.set("mode", "stall");
    let (ok, text, _) = dongles.run(&["doctor", "--seconds", "1"]);
    assert!(!ok && text.contains("no samples for 3 s"), "{text}");
    dongles.set("open", "-3");
    let (ok, text, _) = dongles.run(&["doctor", "--seconds", "1"]);
    assert!(!ok && text.contains("permission denied"), "{text}");
}

#[test]
fn given_the_number_on_the_dial_then_the_meter_is_found() {
    let dongles = Dongles::plugged("1");
    // The meter 48180892 sends 990674; its dial lacks a digit.
    let find = |reading: &str, commodity: &str, seconds: &str| {
        let options = [
            "--reading",
            reading,
            "--commodity",
            commodity,
            "--seconds",
            seconds,
        ];
        dongles.run(&[&["find"], &options[..]].concat())
    };
    let (ok, text, stderr) = find("99067", "gas", "10");
    assert!(
        ok && text.contains("Your meter is 48180892") && text.contains("1 digit more"),
        "{text}{stderr}"
    );
    // Two painted zeros.
    let (ok, text, stderr) = find("99,067,400", "gas", "10");
    assert!(
        ok && text.contains("Your meter is 48180892") && text.contains("multiply it by 100"),
        "{text}{stderr}"
    );
    let (ok, _, stderr) = find("77", "electric", "2");
    assert!(!ok && stderr.contains("none of"), "{stderr}");
    let (ok, text, _) = dongles.run(&["find", "--reading", "660", "--file", STREET]);
    assert!(ok && text.contains("23456789"), "{text}");
}

#[test]
fn given_a_recording_of_a_dongle_then_replay_finds_the_same_street_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().to_str().unwrap();
    let (ok, text, _) = Dongles::plugged("1").run(&["record", "--out", folder, "--seconds", "1.2"]);
    assert!(ok, "{text}");
    let meta = text.split(" (").next().unwrap();
    let output = run(&["replay", meta]);
    let received: std::collections::BTreeSet<_> = json_lines(&output.stdout)
        .iter()
        .map(|line| line["Message"].to_string())
        .collect();
    assert_eq!(received.len(), street_truth().len());
    assert!(
        String::from_utf8(output.stderr).unwrap().is_empty(),
        "everything is in the metadata"
    );
}

#[test]
fn given_frames_that_fail_their_check_then_the_samples_around_them_are_saved() {
    let dir = tempfile::tempdir().unwrap();
    let weak = dir.path().join("weak_2359.296k.cu8");
    // So far away that next to nothing can be decoded, but much is tried.
    let made = run(&[
        "synth",
        "testdata/street/street.toml",
        "--snr",
        "-15",
        "--out",
        weak.to_str().unwrap(),
    ]);
    assert!(made.status.success());
    let mut dongles = Dongles::plugged("1");
    dongles.set("file", weak.to_str().unwrap());
    let folder = dir.path().join("cases");
    let args = [
        "record",
        "--hard-cases",
        "--around",
        "0.3",
        "--seconds",
        "6",
        "--max-files",
        "1",
        "--out",
    ];
    let (ok, text, stderr) = dongles.run(&[&args[..], &[folder.to_str().unwrap()]].concat());
    assert!(ok && text.contains(".sigmf-meta"), "{text}{stderr}");
    let saved: Vec<_> = std::fs::read_dir(&folder).unwrap().collect();
    assert_eq!(saved.len(), 2, "one case, two files");
}

#[test]
fn given_meters_at_one_frequency_then_a_scan_proposes_it() {
    let mut dongles = Dongles::plugged("1");
    dongles.set("only_center", "913000000");
    let args = [
        "scan", "--from", "909M", "--to", "915M", "--step", "2M", "--dwell", "0.8", "--gain", "30",
    ];
    let (ok, text, stderr) = dongles.run(&args);
    assert!(
        ok && text.contains("Most meters are around 913.000 MHz"),
        "{text}{stderr}"
    );
    assert!(
        text.contains("center_freq = 913000000") && !text.contains("hop"),
        "{text}"
    );
    dongles.set("only_center", "433920000");
    let (ok, text, _) = dongles.run(&args);
    assert!(!ok && text.contains("No meter was heard anywhere"), "{text}");
}

#[test]
fn given_gain_best_then_it_is_found_by_trying() {
    let mut dongles = Dongles::plugged("1");
    // Without gain 30 dB below what the street was rendered for, so that the converter's noise covers it.
    dongles.set("full_gain", "300");
    let (ok, text, stderr) = dongles.run(&["listen", "--gain", "best", "--seconds", "5", "--format", "csv"]);
    assert!(ok && !text.is_empty(), "{stderr}");
    let log = dongles.log();
    let gain: i32 = log
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("gain="))
        .unwrap()
        .parse()
        .unwrap();
    assert!((100..300).contains(&gain), "{log}");
}

#[test]
fn given_a_hopping_dongle_then_it_settles_where_the_meters_are() {
    let mut dongles = Dongles::plugged("1");
    dongles.set("only_center", "905000000");
    let mut program = metertap();
    program.args(["listen", "-v", "--center-freq", "hop", "--hop-seconds", "1.5"]);
    dongles.plug_into(program.command());
    let listener = Listener::start(&mut program);
    let centers = || -> Vec<String> {
        let log = dongles.log();
        let centers = log.lines().filter_map(|line| line.strip_prefix("center="));
        centers.map(str::to_owned).collect()
    };
    let is_survey = |centers: &[String]| centers.len() >= 13 && centers.iter().any(|hz| hz == "927000000");
    wait_for("a survey of the band", || is_survey(&centers()));
    wait_for("the best center", || {
        centers().last().is_some_and(|hz| hz == "905000000")
    });
    // Three times the street: longer than a hop.
    listener.skip_received();
    (0..60).for_each(|_| drop(listener.next_line()));
    assert_eq!(centers().last().unwrap(), "905000000", "{:?}", centers());
    listener.running.wait_for_log("hopping");
}
