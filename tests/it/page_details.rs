//! Age, languages and history on the page, in a real browser.

use crate::support::*;
use metertap::meter::consumption::DayRecord;
use metertap::meter::counter::CounterKey;
use metertap::meter::counter_series::{HourlyUse, TimedValue};
use metertap::store::history::HistoryStore;
use metertap_decode::framing::p1::seal;
use std::net::TcpStream;
use std::path::Path;

/// Keys of the WebDriver standard.
const LEFT: char = '\u{E012}';
const END: char = '\u{E010}';

/// Starts metertap with a meter on a wire and one that is never received.
fn daemon(port: u16, bridge: &P1Bridge, more: &str) -> Daemon {
    let daemon = Daemon::start(&format!(
        "[web]\nlisten = \"127.0.0.1:{port}\"\n{more}\n\
         [[output]]\nkind = \"file\"\npath = \"/dev/null\"\n\
         [[wire]]\nname = \"hall\"\nprotocol = \"p1\"\nsource = \"tcp://127.0.0.1:{}\"\n\
         [[meter]]\nid = \"MTP5000\"\nname = \"House\"\nexpire = 2\n\
         [[meter]]\nid = 17580293\nname = \"Garden\"\n",
        bridge.port
    ));
    wait_for("the page", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    daemon
}

const CARD: &str = "document.querySelector('[data-meter=\"MTP5000 p1\"]')";

#[test]
fn given_a_meter_that_falls_silent_then_nothing_is_said_of_now_and_it_is_marked() {
    let (port, bridge) = (free_port(), P1Bridge::start());
    let daemon = daemon(port, &bridge, "");
    daemon.expect_log("Meter expired");
    let browser = Browser::start(1200, 900);
    browser.open(&format!("http://127.0.0.1:{port}/"));
    let rate = format!("{CARD}?.querySelector('.rate').textContent");
    browser.wait("what is used now", &format!("{rate}?.startsWith('now 4 kW')"));
    assert_eq!(browser.run(&format!("return {CARD}.className")), "card fresh");
    let unheard =
        browser.run("return document.querySelector('[data-meter=\"17580293 missing\"]').textContent");
    assert!(
        unheard.as_str().unwrap().contains("Not received since the start"),
        "{unheard}"
    );
    // A browser whose clock is wrong does not change the age.
    browser.run("const real = Date.now; Date.now = () => real() + 7200000;");
    browser.wait(
        "an answer after that",
        &format!("{CARD}.className === 'card fresh'"),
    );
    bridge.fall_silent();
    browser.wait("silence", &format!("{CARD}.className === 'card silent'"));
    assert_eq!(browser.run(&format!("return {rate}.includes('now')")), false);
    browser.wait(
        "it among the problems",
        "/House: silent for [\\d.]+ sec/.test(document.querySelector('#problems').textContent)",
    );
    assert_eq!(browser.errors(), Vec::<String>::new());
}

#[test]
fn given_the_language_of_the_browser_then_texts_numbers_and_times_are_in_it() {
    let (port, bridge) = (free_port(), P1Bridge::start());
    let _daemon = daemon(port, &bridge, "");
    for (locale, language, now, value) in [
        ("de-DE", "de", "jetzt 4 kW", "4.426,"),
        ("nl-NL", "nl", "nu 4 kW", "4.426,"),
        ("fr-FR", "fr", "maintenant 4 kW", "4\u{202F}426,"),
        ("pt-BR", "en", "now 4 kW", "4.426,"),
    ] {
        let browser = Browser::start_in(locale, 900, 700);
        browser.open(&format!("http://127.0.0.1:{port}/"));
        let rate = format!("{CARD}?.querySelector('.rate').textContent");
        browser.wait(locale, &format!("{rate}?.startsWith('{now}')"));
        let shown = browser.run(&format!("return {CARD}.querySelector('.value').textContent"));
        assert!(shown.as_str().unwrap().starts_with(value), "{locale}: {shown}");
        assert_eq!(browser.run("return document.documentElement.lang"), language);
        assert_eq!(browser.errors(), Vec::<String>::new());
    }
}

/// What axe-core, which `make axe` brings, finds wrong on the page as it is now.
fn violations(browser: &Browser) -> serde_json::Value {
    let axe = std::fs::read_to_string(root().join("target/axe-core/package/axe.min.js")).unwrap();
    browser.run(&format!(
        "{axe}; window.found = undefined; axe.run(document).then((result) => {{ window.found = result.violations.map((one) => `${{one.id}}: ${{one.nodes.map((node) => node.target)}}`); }});"
    ));
    browser.wait("axe", "window.found !== undefined");
    browser.run("return window.found")
}

#[needs(axe)]
#[test]
fn given_the_rules_of_axe_then_no_part_of_the_page_breaks_one() {
    let (port, bridge) = (free_port(), P1Bridge::start());
    let _daemon = daemon(port, &bridge, "");
    let browser = Browser::start(1200, 900);
    browser.open(&format!("http://127.0.0.1:{port}/"));
    browser.wait("a card", CARD);
    let none = serde_json::json!([]);
    assert_eq!(violations(&browser), none, "all meters");
    browser.run("location.hash = '#meter/MTP5000'");
    browser.wait(
        "a chart",
        "document.querySelector('.chart .bar') && document.querySelector('.fields td')",
    );
    browser.click(".history summary");
    assert_eq!(violations(&browser), none, "details");
    browser.run("document.querySelector('#details .edit').click()");
    browser.wait("the dialog", "document.querySelector('#edit').open");
    browser.dark();
    assert_eq!(violations(&browser), none, "the dialog, dark");
}

/// Two years up to now: 1 kWh in each hour, 0.25 kWh fed in; of yesterday, only the first twelve hours are measured.
fn write_history(path: &Path) {
    let now = jiff::Timestamp::now();
    let today = (now.as_second() / 86_400) as i32;
    let store = HistoryStore::open(path).unwrap();
    for (field, amount, value) in [
        ("energy_import_total", 1.0, 4426.0),
        ("energy_export_total", 0.25, 7.0),
    ] {
        let rows = (today - 730..today).map(|day| DayRecord {
            key: CounterKey::new("MTP5000", "p1", field),
            unit: "kWh".into(),
            day,
            hours: HourlyUse {
                measured: if day == today - 1 { 0xFFF } else { 0xFF_FFFF },
                ..HourlyUse::measured([amount; 24])
            },
            last: TimedValue { at: now, value },
        });
        store.put(&rows.collect::<Vec<_>>()).unwrap();
    }
}

#[test]
fn given_two_years_then_a_chart_shows_hours_to_years_with_values_by_keyboard_and_the_period_before() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("history");
    write_history(&file);
    let (port, bridge) = (free_port(), P1Bridge::start());
    let tariff = "[[tariff]]\nmeter = \"MTP5000\"\nprice = 0.3\nexport_price = 0.1\nstanding_charge = 0.5\nstanding_per = \"day\"\ncurrency = \"EUR\"";
    let _daemon = daemon(
        port,
        &bridge,
        &format!("history = \"{}\"\n{tariff}", file.display()),
    );
    let browser = Browser::start(1200, 900);
    browser.open(&format!("http://127.0.0.1:{port}/#meter/MTP5000"));
    let readout = "document.querySelector('.readout')?.textContent";
    let bars = "Number(document.querySelector('.chart svg')?.getAttribute('aria-valuemax')) + 1";
    let choose = |list: &str, value: &str| {
        browser.run(&format!(
            "const list = document.querySelector('.history .{list}'); list.value = '{value}'; list.dispatchEvent(new Event('change'))"
        ));
    };
    let by = |length: &str, span: &str| {
        choose("by", length);
        choose("span", span);
    };

    // A month by days: the last day is not over; the day before is measured to one half.
    browser.wait("days of a month", &format!("{bars} >= 28 && {bars} <= 31"));
    by("days", "year");
    browser.wait("days of a year", &format!("{bars} >= 365"));
    let today = browser.run("const now = new Date(); return Math.round((new Date(now.getFullYear(), now.getMonth(), now.getDate()) - new Date(now.getFullYear(), 0, 1)) / 86400000)");
    browser.press(".chart svg", END);
    for _ in today.as_i64().unwrap() - 1..browser.run(&format!("return {bars} - 1")).as_i64().unwrap() {
        browser.press(".chart svg", LEFT);
    }
    let value = browser.run("return document.querySelector('.chart svg').getAttribute('aria-valuetext')");
    assert_eq!(
        browser.run(&format!("return {readout}")),
        value,
        "shown and read out"
    );
    for part in [
        "import 24 kWh",
        "export 6 kWh",
        "net 18 kWh",
        // 24 · 0.30 - 6 · 0.10 + 0.50
        "7.10 EUR",
        "period before 24 kWh",
        "50 % measured",
    ] {
        assert!(value.as_str().unwrap().contains(part), "{part}: {value}");
    }
    let estimate = "document.querySelector('.chart .estimate').getAttribute('d')";
    browser.wait("a pale bar", &format!("{estimate} !== ''"));
    for (length, span, least, most) in [
        ("hours", "day", 23, 25),
        ("hours", "week", 167, 169),
        ("weeks", "year", 52, 53),
        ("months", "year", 12, 12),
        ("years", "all", 2, 3),
        ("days", "all", 730, 733),
    ] {
        by(length, span);
        browser.wait(
            &format!("{length} of {span}"),
            &format!("{bars} >= {least} && {bars} <= {most}"),
        );
    }
    let sums = browser.run("return document.querySelector('.sums').textContent");
    assert!(sums.as_str().unwrap().contains("net 13,1"), "{sums}");
    // The same as a table, and as files.
    browser.click(".history summary");
    browser.wait(
        "its table",
        "document.querySelectorAll('.history tbody tr').length >= 730",
    );
    browser.click(".history .csv");
    browser.click(".history .json");

    // Fields with their codes, reception, refused readings.
    let code = "[...document.querySelectorAll('.fields tr')].find((row) => row.children[0].textContent === 'energy_import_total')?.children[3].textContent";
    browser.wait("the code of a field", &format!("{code} === '1-x:1.8.0'"));
    let code = code.replace("energy_import_total", "equipment_id");
    browser.wait(
        "the code that is sent, of several",
        &format!("{code} === '0-0:96.1.1'"),
    );
    browser.wait("its reception", "document.querySelector('.reception rect')");
    let text = browser.run("return document.querySelector('#details').textContent");
    for part in ["usual interval", "None since the start.", "/MTP5page"] {
        assert!(text.as_str().unwrap().contains(part), "{part}: {text}");
    }
    browser.run("scrollTo(0, 0)");
    browser.click("#details > .tools a");
    browser.wait("all meters", "!document.querySelector('#home').hidden");

    // A telegram that is pasted is explained.
    let telegram = seal("/MTP5x\n\n0-0:96.1.1(4D31)\n1-0:1.8.0(000001.500*kWh)\n", true);
    let digits: String = telegram.iter().map(|byte| format!("{byte:02X}")).collect();
    browser.write("#pasted", &digits);
    browser.click("#decoder button");
    browser.wait(
        "an explanation",
        "document.querySelector('#decoded').textContent.includes('Protocol: p1')",
    );
    let decoded = browser.run("return document.querySelector('#decoded').textContent");
    assert!(decoded.as_str().unwrap().contains("1.5 kWh"), "{decoded}");
    assert_eq!(browser.errors(), Vec::<String>::new());
}
