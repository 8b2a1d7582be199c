//! Radio meters on the page: their packets on the band, and their telegrams byte for byte.

use crate::support::*;
use crate::wmbus::KEY;
use crate::wmbus_radio::air;
use std::net::TcpStream;

#[test]
fn given_a_wireless_m_bus_meter_then_its_telegram_is_kept_with_the_meaning_of_each_record() {
    let dir = tempfile::tempdir().unwrap();
    let file = air(dir.path());
    let (port, quiet) = (free_port(), free_port());
    let daemon = Daemon::start(&format!(
        "[web]\nlisten = \"127.0.0.1:{port}\"\n[[output]]\nkind = \"file\"\npath = \"/dev/null\"\n\
         [[radio]]\nname = \"roof\"\nsource = \"{}\"\nband = \"868\"\nsample_rate = 2359296\ncenter_freq = 868625000\nstart = \"2026-01-15T12:00:00Z\"\n\
         [[wire]]\nname = \"gone\"\nprotocol = \"p1\"\nsource = \"tcp://127.0.0.1:{quiet}\"\n\
         [[meter]]\nid = 12345678\nkey = \"{KEY}\"\nname = \"Water\"\n",
        file.display()
    ));
    daemon.expect_log("onnection refused");
    wait_for("the recording", || daemon.log().contains("Receiver ended"));
    let meter = json(port, "/api/meters/12345678");
    let telegram = &meter["telegrams"][0];
    assert_eq!(telegram["type"], "wmbus");
    let bytes = telegram["bytes"].as_str().unwrap();
    // Length, C field, manufacturer, and the id in the order of its bytes.
    assert!(bytes.contains("78563412") && bytes.len() > 40, "{telegram}");
    let parts = telegram["parts"].as_array().unwrap();
    let record = parts.iter().find(|part| part["layer"] == "record").unwrap();
    assert!(
        !bytes.contains(record["bytes"].as_str().unwrap()),
        "it was encrypted, and its records are shown decrypted: {telegram}"
    );
    assert!(record["text"].as_str().unwrap().contains("volume"), "{record}");
    assert!(!meter.to_string().contains(KEY));
    assert!(
        meter["reception"][0]["hours"][0]["snr_db"].as_f64() > Some(5.0),
        "{meter}"
    );

    let browser = Browser::start(1200, 900);
    browser.open(&format!("http://127.0.0.1:{port}/#meter/12345678"));
    browser.wait("its records", "document.querySelector('#details .parts dd')");
    let parts = browser.run("return document.querySelector('#details .parts').textContent");
    assert!(parts.as_str().unwrap().contains("volume"), "{parts}");
    let raw = "[...document.querySelectorAll('#details pre')].map((one) => one.textContent).join('\\n')";
    browser.wait("its bytes", &format!("{raw}.includes('78 56 34 12')"));
    browser.run("location.hash = '#now'");
    browser.click("#mask");
    browser.run("location.hash = '#meter/12345678'");
    browser.wait(
        "bytes that are hidden",
        &format!("{raw}.includes('bytes, hidden with the ids')"),
    );
    assert_eq!(browser.errors(), Vec::<String>::new());
}

#[cfg(feature = "rtlsdr")]
#[test]
fn given_a_meter_that_is_chosen_then_its_packets_are_counted_and_found_on_the_band() {
    let (port, dongles) = (free_port(), Dongles::plugged("00000042"));
    let config = format!(
        "[web]\nlisten = \"127.0.0.1:{port}\"\n[[output]]\nkind = \"file\"\npath = \"/dev/null\"\n\
         [[radio]]\nname = \"roof\"\nsource = \"rtlsdr\"\n[[meter]]\nid = 12345678\nname = \"Water\"\n"
    );
    let daemon = Daemon::start_with(&config, |command| dongles.plug_into(command));
    wait_for("the page", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    let browser = Browser::start(1200, 1000);
    browser.open(&format!("http://127.0.0.1:{port}/"));
    let choice = "document.querySelector('[data-receiver=roof] .choice')";
    browser.wait(
        "the meter",
        &format!("[...({choice}?.options ?? [])].some((one) => one.value === '12345678')"),
    );
    let first = browser.run(&format!("return {choice}.options[1].textContent"));
    assert_eq!(first, "Water (12345678)", "one's own come first");
    browser.run(&format!(
        "{choice}.value = '12345678'; {choice}.dispatchEvent(new Event('change'))"
    ));
    browser.wait(
        "its packets",
        "/^[1-9]\\d* packets? in the last half minute · 91\\d\\.\\d+ MHz/.test(document.querySelector('[data-receiver=roof] .summary').textContent)",
    );
    // Its last frame, byte for byte.
    browser.run("location.hash = '#meter/12345678'");
    let raw = "[...document.querySelectorAll('#details pre')].map((one) => one.textContent).join('\\n')";
    browser.wait(
        "its bytes",
        &format!("/scm\\n([0-9a-f]{{2}} ){{11}}[0-9a-f]{{2}}/.test({raw})"),
    );
    assert_eq!(browser.errors(), Vec::<String>::new());
    drop(daemon);
}
