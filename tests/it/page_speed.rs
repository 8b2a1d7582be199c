//! How much the page draws, and how long that takes.

use crate::support::*;
use metertap::meter::consumption::DayRecord;
use metertap::meter::counter::CounterKey;
use metertap::meter::counter_series::{HourlyUse, TimedValue};
use metertap::store::history::HistoryStore;
use serde_json::json as object;
use std::net::TcpStream;
use std::path::Path;

const METERS: u32 = 20;
/// Ten years.
const DAYS: i32 = 3653;
/// Slower than this machine by this factor: a Raspberry Pi 4 has about a fifth of the speed of a desktop.
const THROTTLING: u32 = 6;

fn write_history(path: &Path, meters: u32) {
    let now = jiff::Timestamp::now();
    let today = (now.as_second() / 86_400) as i32;
    let store = HistoryStore::open(path).unwrap();
    for meter in 0..meters {
        let rows = (today - DAYS..today).map(|day| DayRecord {
            key: CounterKey::new((100 + meter).to_string(), "scm", "total"),
            unit: "kWh".into(),
            day,
            hours: HourlyUse::measured([f64::from(1 + day % 7); 24]),
            last: TimedValue {
                at: now,
                value: 100_000.0,
            },
        });
        store.put(&rows.collect::<Vec<_>>()).unwrap();
    }
}

fn daemon(port: u16, history: &Path) -> Daemon {
    let quiet = free_port();
    let daemon = Daemon::start(&format!(
        "[web]\nlisten = \"127.0.0.1:{port}\"\nhistory = \"{}\"\n\
         [[output]]\nkind = \"file\"\npath = \"/dev/null\"\n\
         [[wire]]\nname = \"gone\"\nprotocol = \"p1\"\nsource = \"tcp://127.0.0.1:{quiet}\"\n",
        history.display()
    ));
    daemon.expect_log("onnection refused");
    wait_for("the page", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    daemon
}

/// Chooses days of all the years on the details page of a meter.
fn all_days(browser: &Browser, meter: u32) {
    browser.wait(
        "its panel",
        &format!("location.hash === '#meter/{meter}' && document.querySelector('.history .span option')"),
    );
    browser.run(
        "for (const [list, value] of [['by', 'days'], ['span', 'all']]) {
           const one = document.querySelector(`.history .${list}`); one.value = value; one.dispatchEvent(new Event('change')); }",
    );
    browser.wait(
        "ten years",
        &format!(
            "Number(document.querySelector('.chart svg').getAttribute('aria-valuemax')) >= {}",
            DAYS - 1
        ),
    );
}

#[test]
fn given_ten_years_of_days_then_a_chart_has_no_more_shapes_than_pixels_and_its_table_comes_in_parts() {
    let dir = tempfile::tempdir().unwrap();
    let (history, port) = (dir.path().join("history"), free_port());
    write_history(&history, 1);
    let _daemon = daemon(port, &history);
    let browser = Browser::start(1200, 900);
    browser.open(&format!("http://127.0.0.1:{port}/#meter/100"));
    all_days(&browser, 100);
    let number = |expression: &str| browser.run(&format!("return {expression}")).as_f64().unwrap();
    browser.wait("bars", "document.querySelector('.chart .bar').getAttribute('d')");
    let wide = number("document.querySelector('.chart svg').clientWidth");
    let bars = number("document.querySelector('.chart .bar').getAttribute('d').split('H').length - 1");
    assert!(bars > 500.0 && bars <= wide, "{bars} bars on {wide} pixels");
    let nodes = number("document.querySelectorAll('.chart svg *').length");
    assert!(nodes < 60.0, "{nodes} nodes");
    // Each day is still there for the keyboard, and in the table: those of the history, and today.
    assert_eq!(
        number("Number(document.querySelector('.chart svg').getAttribute('aria-valuemax'))"),
        f64::from(DAYS)
    );
    browser.run(
        "window.most = 0; new MutationObserver((changes) => {
           const added = changes.reduce((sum, one) => sum + [...one.addedNodes].filter((node) => node.tagName === 'TR').length, 0);
           window.most = Math.max(window.most, added); }).observe(document.querySelector('.history table'), { childList: true, subtree: true });",
    );
    browser.click(".history summary");
    browser.wait(
        "all days in the table",
        &format!(
            "document.querySelectorAll('.history tbody tr').length === {}",
            DAYS + 1
        ),
    );
    let most = number("window.most");
    assert!(most > 0.0 && most <= 401.0, "{most} rows at once");
    assert_eq!(browser.errors(), Vec::<String>::new());
}

/// `make page-speed`: prints what docs/web.md states.
#[test]
#[ignore = "a measurement, which asserts nothing"]
fn speed_of_the_page() {
    let dir = tempfile::tempdir().unwrap();
    let (history, port) = (dir.path().join("history"), free_port());
    write_history(&history, METERS);
    let _daemon = daemon(port, &history);
    let browser = Browser::start(1200, 900);
    for rate in [1, THROTTLING] {
        browser.devtools("Emulation.setCPUThrottlingRate", object!({ "rate": rate }));
        browser.open(&format!("http://127.0.0.1:{port}/"));
        browser.wait(
            "its paint",
            "performance.getEntriesByName('first-contentful-paint').length",
        );
        let paint = browser.run("return performance.getEntriesByName('first-contentful-paint')[0].startTime");
        println!(
            "{rate} times slower: first contentful paint after {:.0} ms",
            paint.as_f64().unwrap()
        );
        browser.run(
            "window.tasks = []; new PerformanceObserver((list) => window.tasks.push(...list.getEntries().map((one) => one.duration))).observe({ type: 'longtask', buffered: true }); window.tasks.length = 0;",
        );
        for meter in 0..METERS {
            browser.run(&format!("location.hash = '#meter/{}'", 100 + meter));
            all_days(&browser, 100 + meter);
        }
        let tasks = browser.run("return window.tasks");
        println!(
            "{rate} times slower: {METERS} charts of {DAYS} days; tasks of 50 ms or more, in ms: {tasks}"
        );
    }
}
