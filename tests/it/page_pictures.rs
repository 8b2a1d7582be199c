//! The pictures of the page in docs/.

use crate::support::*;
use metertap::meter::consumption::DayRecord;
use metertap::meter::counter::CounterKey;
use metertap::meter::counter_series::{HourlyUse, TimedValue};
use metertap::store::history::HistoryStore;
use std::net::TcpStream;
use std::time::Duration;

/// A day's curve: little at night, more in the morning, most in the evening.
fn hours_of(day: i32, now: i64, most: f64) -> [f64; 24] {
    std::array::from_fn(|hour| {
        let shape = [
            1, 1, 1, 1, 1, 2, 5, 7, 4, 3, 3, 4, 5, 4, 3, 3, 4, 7, 9, 10, 8, 5, 3, 2,
        ][hour];
        let begins = i64::from(day) * 86_400 + hour as i64 * 3600;
        let wobble = f64::from((day * 7 + hour as i32 * 3) % 5) / 20.0 + 0.9;
        if begins < now {
            most * f64::from(shape) / 10.0 * wobble
        } else {
            f64::NAN
        }
    })
}

/// The pictures in docs/: `make screenshots`.
#[test]
#[ignore = "writes docs/*.png"]
fn pictures_for_the_documentation() {
    let docs = root().join("docs");
    let dir = tempfile::tempdir().unwrap();
    // A street with fewer transmissions at a time.
    let street = std::fs::read_to_string(root().join("testdata/street/street.toml")).unwrap();
    let mut calm = String::new();
    for line in street.lines() {
        match line.split_once(" = ") {
            Some(("seconds", _)) => calm += "seconds = 45\n",
            Some(("every", every)) => {
                let every: f64 = every.split('#').next().unwrap().trim().parse().unwrap();
                calm += &format!("every = {}\n", every * 3.7);
            }
            _ => calm += &format!("{line}\n"),
        }
    }
    let (scenario, recording) = (
        dir.path().join("calm.toml"),
        dir.path().join("roof_912.600155M_2359.296k.cu8"),
    );
    std::fs::write(&scenario, calm).unwrap();
    stdout_of(&[
        "synth",
        scenario.to_str().unwrap(),
        "-o",
        recording.to_str().unwrap(),
    ]);

    let now = jiff::Timestamp::now();
    let archive = HistoryStore::open(&dir.path().join("history")).unwrap();
    for (id, kind, field, unit, value, most) in [
        ("12345678", "scm", "total", "gal", 4821.2, 21.0),
        ("33445566", "idm", "total", "kWh", 12_045.5, 2.4),
        ("MTP5000", "p1", "energy_import_total", "kWh", 4426.0, 0.9),
        ("MTP5000", "p1", "energy_export_total", "kWh", 7.0, 0.4),
    ] {
        let today = (now.as_second() / 86_400) as i32;
        let row = |day| DayRecord {
            key: CounterKey::new(id, kind, field),
            unit: unit.into(),
            day,
            hours: HourlyUse {
                // A pause of some hours two days ago.
                measured: if day == today - 2 { 0x00FF } else { 0xFF_FFFF },
                ..HourlyUse::measured(hours_of(day, now.as_second(), most))
            },
            last: TimedValue { at: now, value },
        };
        archive
            .put(&(today - 800..=today).map(row).collect::<Vec<_>>())
            .unwrap();
    }
    drop(archive);

    let port = free_port();
    let daemon = Daemon::start(&format!(
        "publish = \"listed\"\n[web]\nlisten = \"127.0.0.1:{port}\"\nhistory = \"{}\"\n\
         [[output]]\nkind = \"file\"\npath = \"{}\"\n\
         [[radio]]\nname = \"roof\"\nsource = \"{}\"\nrealtime = true\n\
         [[wire]]\nname = \"hall\"\nprotocol = \"p1\"\nsource = \"tcp://127.0.0.1:{}\"\n\
         [[meter]]\nid = 12345678\nname = \"Water\"\nunit = \"gal\"\nscale = 0.1\n\
         [[meter]]\nid = 33445566\nname = \"Grid import\"\nprotocol = \"idm\"\nunit = \"kWh\"\nscale = 0.01\n\
         [[meter]]\nid = \"MTP5000\"\nname = \"House\"\n",
        dir.path().join("history").display(),
        dir.path().join("readings.jsonl").display(),
        recording.display(),
        P1Bridge::start().port
    ));
    let browser = Browser::start(1200, 1650);
    wait_for("the page", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    browser.open(&format!("http://127.0.0.1:{port}/"));
    std::thread::sleep(Duration::from_secs(32));
    daemon.expect_log("assuming that it was recorded");
    assert_eq!(browser.errors(), Vec::<String>::new(), "{}", daemon.log());
    browser.picture(&docs.join("page.png"));
    browser.run("location.hash = '#meter/MTP5000'");
    std::thread::sleep(Duration::from_secs(2));
    browser.picture(&docs.join("page-meter.png"));
    browser.run("location.hash = '#now'");
    browser.dark();
    browser.emulate_phone(360, 740);
    std::thread::sleep(Duration::from_secs(1));
    browser.picture(&docs.join("page-phone.png"));
    browser.run("document.getElementById('radio').scrollIntoView()");
    std::thread::sleep(Duration::from_secs(1));
    browser.picture(&docs.join("page-phone-radio.png"));
}
