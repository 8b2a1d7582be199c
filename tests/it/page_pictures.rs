//! The pictures of the page in docs/.

use crate::support::*;
use crate::wmbus::{KEY, RECORDS, hex, sender};
use metertap::meter::consumption::DayRecord;
use metertap::meter::counter::CounterKey;
use metertap::meter::counter_series::{HourlyUse, TimedValue};
use metertap::store::history::HistoryStore;
use metertap_decode::framing::p1::seal;
use metertap_decode::wmbus::encode::Protection;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
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

/// A P1 meter with a gas meter behind it, a telegram every second; returns the port.
fn home() -> u16 {
    let bridge = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = bridge.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for line in bridge.incoming() {
            let mut line = line.unwrap();
            for second in 0.. {
                let text = format!(
                    "/MTP5page\n\n1-3:0.2.8(50)\n0-0:96.1.1(4D545035303030)\n1-0:1.8.1({:010.3}*kWh)\n1-0:1.8.2(002213.000*kWh)\n\
                     1-0:2.8.1(000004.000*kWh)\n1-0:2.8.2(000003.000*kWh)\n0-0:96.14.0(0001)\n1-0:1.7.0(00.{}*kW)\n1-0:2.7.0(00.000*kW)\n\
                     1-0:32.7.0(231.{}*V)\n1-0:31.7.0(002*A)\n0-1:24.1.0(003)\n0-1:96.1.0(37373838393930303131)\n0-1:24.2.1(261126120000W)(05012.300*m3)\n",
                    2213.0 + f64::from(second) / 8000.0,
                    450 + second % 7,
                    second % 9,
                );
                if line.write_all(&seal(&text, true)).is_err() {
                    break;
                }
                std::thread::sleep(Duration::from_secs(1));
            }
        }
    });
    port
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
        ("7788990011", "gas", "total", "m³", 5012.3, 0.3),
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
         [[meter]]\nid = \"MTP5000\"\nname = \"House\"\n[[meter]]\nid = \"7788990011\"\nname = \"Gas\"\n\
         [[tariff]]\nmeter = \"MTP5000\"\nprice = 0.31\nexport_price = 0.08\nstanding_charge = 9.5\ncurrency = \"EUR\"\n",
        dir.path().join("history").display(),
        dir.path().join("readings.jsonl").display(),
        recording.display(),
        home()
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
    browser.run("scrollTo(0, 0); document.querySelector('#details .edit').click()");
    std::thread::sleep(Duration::from_secs(1));
    browser.write("#edit-name", "Our house");
    browser.click("#edit-submit");
    std::thread::sleep(Duration::from_secs(1));
    browser.picture(&docs.join("page-edit.png"));
    browser.click("#edit-cancel");
    browser.run("location.hash = '#decode'");
    std::thread::sleep(Duration::from_secs(1));
    let key = KEY.parse().unwrap();
    browser.write(
        "#pasted",
        &hex(&sender(Protection::Mode5 { key }).telegram(&RECORDS).unwrap()),
    );
    browser.write("#pasted-key", KEY);
    browser.click("#decoder button");
    std::thread::sleep(Duration::from_secs(1));
    browser.run("document.getElementById('decode').scrollIntoView()");
    browser.picture(&docs.join("page-decoder.png"));
    browser.run("location.hash = '#now'");
    browser.dark();
    browser.emulate_phone(360, 740);
    std::thread::sleep(Duration::from_secs(1));
    browser.picture(&docs.join("page-phone.png"));
    browser.run("document.getElementById('radio').scrollIntoView()");
    std::thread::sleep(Duration::from_secs(1));
    browser.picture(&docs.join("page-phone-radio.png"));
}
