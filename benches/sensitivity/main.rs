//! Sensitivity of the receiver: `make sensitivity` prints these tables, made with the project's own modulator.
//!
//! ```text
//! cargo bench --bench sensitivity -- [reach|channels|pairs|wrong|repeats|wmbus|america|known|known-channels|wrong-known|recorded|noise|cost] [packets=250] [minutes=10]
//!     [tsv=FILE] [only=NAME] [channel=NAME] [recording=FILE]
//! ```

mod america;
mod known;
mod other;
mod recorded;
mod theory;
mod trial;
mod wmbus;

use known::Known;
use metertap_dsp::synth::Keying;
use metertap_dsp::{Protocol, Trust};
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use trial::{Channel, Outcome, quantize};

/// Protocol, SNR of the 50 % and of the 90 % target.
const TARGETS: [(Protocol, f64, f64); 4] = [
    (Protocol::Scm, -12.0, -11.0),
    (Protocol::ScmPlus, -11.0, -10.0),
    (Protocol::Idm, -9.5, -8.7),
    (Protocol::R900, -11.0, -10.0),
];

/// The same for known meters.
const KNOWN_TARGETS: [(Known, f64, f64); 11] = [
    (Known::Frame(Protocol::Scm), -17.0, -15.5),
    (Known::Frame(Protocol::ScmPlus), -16.5, -15.0),
    (Known::Frame(Protocol::R900), -16.0, -14.5),
    (Known::Dial(Protocol::Scm), -17.0, -15.5),
    (Known::Dial(Protocol::ScmPlus), -16.5, -15.0),
    (Known::Dial(Protocol::R900), -16.0, -14.5),
    (Known::IdmFirst, -9.5, -8.7),
    (Known::IdmSame, -17.5, -16.5),
    (Known::IdmSameAndTime, -17.5, -16.5),
    (Known::Idm, -17.5, -16.5),
    (Known::IdmAndTime, -17.5, -16.5),
];

fn main() {
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let value = |key: &str| {
        args.iter()
            .find_map(|arg| arg.strip_prefix(key)?.strip_prefix('='))
    };
    let packets = value("packets").map_or(250, |n| n.parse().expect("packets=NUMBER"));
    let minutes: f64 = value("minutes").map_or(10.0, |n| n.parse().expect("minutes=NUMBER"));
    let named: Vec<&String> = args.iter().filter(|arg| !arg.contains('=')).collect();
    let wanted = |table: &str| named.iter().any(|name| *name == table);
    let all = named.is_empty();
    if all || wanted("reach") {
        reach(packets, value("tsv"));
    }
    if all || wanted("channels") {
        channels(packets);
    }
    if all || wanted("pairs") {
        pairs(packets);
    }
    if all || wanted("wrong") {
        wrong(packets * 24);
    }
    if all || wanted("wmbus") {
        let tsv = value("tsv").map(|path| path.replace(".tsv", "-wmbus.tsv"));
        wmbus::run(packets, tsv.as_deref());
    }
    if all || wanted("america") {
        america::run(packets);
    }
    if wanted("known") {
        known_reach(packets, value("only"), &mut String::new());
    }
    if all || wanted("repeats") {
        repeats(packets);
    }
    if wanted("known-channels") {
        known_channels(packets, value("only"), value("channel"));
    }
    if wanted("wrong-known") {
        known_wrong(packets, value("only"));
    }
    if wanted("recorded") {
        recorded::run(value("recording"), packets);
    }
    if wanted("noise") {
        let each: Vec<u64> = (0..minutes.ceil() as u64).collect();
        let counts = parallel(&each, |&minute| trial::noise(minute));
        let [packets, tentative] = [0, 1].map(|i| counts.iter().map(|count| count[i]).sum::<usize>());
        println!(
            "noise, {} minutes, 20 meters expected: {packets} packets, {tentative} tentative ones",
            each.len()
        );
        let frames = wmbus::noise(minutes);
        println!("noise, {minutes} minutes: {frames} frames of wireless M-Bus");
        let frames = america::noise(minutes);
        println!("noise, {minutes} minutes: {frames} frames of America's FSK meters");
    }
    if wanted("cost") {
        known::cost(10);
        wmbus::cost();
    }
}

/// Prints the SNR at which 50 % and 90 % are decoded; writes the whole curves to `tsv`.
fn reach(packets: usize, tsv: Option<&str>) {
    println!("Reach: all protocols on, carriers anywhere in ±1 MHz, {packets} packets a point\n");
    println!("           50 % at (target)      90 % at (target)      wrong / received");
    let mut table = String::new();
    for (protocol, half, most) in TARGETS {
        let points: Vec<f64> = (0..=16).map(|i| half - 2.0 + f64::from(i) * 0.25).collect();
        let curve = parallel(&points, |&snr| {
            trial::alone(protocol, snr, packets, Channel::default(), Trust::Normal)
        });
        print_reach(&format!("{protocol:?}"), (half, most), &points, &curve);
        let _ = writeln!(table, "# {protocol:?}: snr_db decoded");
        for (&snr, point) in points.iter().zip(&curve) {
            let _ = writeln!(table, "{snr} {:.4}", point.share());
        }
        table.push_str("\n\n");
    }
    for (name, bits) in [("Scm", 96), ("ScmPlus", 128), ("Idm", 736)] {
        limits(name, bits, &mut table);
    }
    r900_limits(&mut table);
    known_reach(packets, None, &mut table);
    if let Some(path) = tsv {
        std::fs::write(path, table).unwrap_or_else(|e| panic!("{path}: {e}"));
    }
    println!();
}

/// Prints one row: thresholds beside their targets, and wrong packets.
fn print_reach(name: &str, (half, most): (f64, f64), points: &[f64], curve: &[Outcome]) {
    let mut sum = Outcome::default();
    curve.iter().for_each(|&point| sum.add(point));
    println!(
        "{name:9} {} ({half:5.1})     {} ({most:5.1})     {} / {}",
        crossing(points, curve, 0.5),
        crossing(points, curve, 0.9),
        sum.wrong,
        sum.received
    );
}

/// Prints the same for known meters, and adds their curves and limits to `table`.
fn known_reach(packets: usize, only: Option<&str>, table: &mut String) {
    println!("\nKnown meters: counter risen by up to 1000, ten meters expected, one of them on the air\n");
    println!("           50 % at (target)      90 % at (target)      wrong / received");
    let wanted = |known: &Known| only.is_none_or(|only| only == known.name());
    for (known, half, most) in KNOWN_TARGETS.into_iter().filter(|target| wanted(&target.0)) {
        let points: Vec<f64> = (0..=16).map(|i| half - 2.0 + f64::from(i) * 0.25).collect();
        let packets = packets.div_ceil(known.rarer());
        let curve = parallel(&points, |&snr| {
            known::alone(known, snr, packets, Channel::default())
        });
        print_reach(known.name(), (half, most), &points, &curve);
        let _ = writeln!(table, "# known {}: snr_db decoded limit", known.name());
        for (&snr, point) in points.iter().zip(&curve) {
            let limit = theory::known(theory::coherent, snr, known.words());
            let _ = writeln!(table, "{snr} {:.4} {limit:.4}", point.share());
        }
        table.push_str("\n\n");
    }
}

/// Prints the share of frames received where each meter sends the same counter several times.
fn repeats(packets: usize) {
    const TIMES: [usize; 4] = [1, 2, 4, 8];
    println!("Repeats: known meters that send the same counter so many times; % of their frames received\n");
    println!(
        "                  SNR {}",
        TIMES.map(|times| format!("{times:7}")).concat()
    );
    for (known, half, _) in KNOWN_TARGETS.into_iter().filter(|target| target.0.has_repeats()) {
        for snr in [half - 1.0, half - 0.5, half, half + 0.5] {
            let outcomes = parallel(&TIMES, |&times| known::repeated(known, snr, packets, times));
            let shares = outcomes
                .iter()
                .map(|outcome| format!("{:7.1}", 100.0 * outcome.share()));
            let wrong: usize = outcomes.iter().map(|outcome| outcome.wrong).sum();
            println!(
                "{:15} {snr:5.1} {}   wrong {wrong}",
                known.name(),
                shares.collect::<String>()
            );
        }
    }
    println!();
}

/// Prints what impaired channels, and a modulator and a dongle that nothing was tuned with, cost known meters.
fn known_channels(packets: usize, only: Option<&str>, channel: Option<&str>) {
    let plain = Channel::default();
    let keying = |keying| Channel { keying, ..plain };
    let clean = Keying::default();
    let list = [
        ("plain", plain),
        (
            "clock ±200 ppm",
            Channel {
                clock_ppm: 200.0,
                ..plain
            },
        ),
        (
            "drift 20 kHz/s",
            keying(Keying {
                drift_hz_per_s: 20e3,
                ..clean
            }),
        ),
        (
            "short pulses",
            keying(Keying {
                short_s: 3.5e-6,
                edge_s: 2.5e-6,
                ..clean
            }),
        ),
        (
            "wander 10 rad/√s",
            keying(Keying {
                wander_rad_per_sqrt_s: 10.0,
                ..clean
            }),
        ),
        (
            "other modulator",
            Channel {
                is_other: true,
                ..plain
            },
        ),
    ];
    println!("Known meters over channels: dB at 50 % / 90 % received; wrong / received\n");
    let wanted = |name: &str| channel.is_none_or(|channel| name.starts_with(channel));
    let is_wanted = |known: Known| known != Known::Idm && only.is_none_or(|only| only == known.name());
    for (name, channel) in list.into_iter().filter(|row| wanted(row.0)) {
        print!("{name:18}");
        let mut sum = Outcome::default();
        for (known, half, _) in KNOWN_TARGETS.into_iter().filter(|target| is_wanted(target.0)) {
            let points: Vec<f64> = (0..=7).map(|i| half - 1.5 + f64::from(i) * 0.5).collect();
            let curve = parallel(&points, |&snr| known::alone(known, snr, packets, channel));
            curve.iter().for_each(|&point| sum.add(point));
            let here = [0.5, 0.9].map(|share| interpolate(&points, &curve, share));
            print!("  {} {:6.2} /{:6.2}", known.name(), here[0], here[1]);
        }
        println!("   {} / {}", sum.wrong, sum.received);
    }
    println!();
}

/// Adds the limits that theory sets for R900 to `table`.
fn r900_limits(table: &mut String) {
    let _ = writeln!(
        table,
        "# limits of R900: snr_db coherent_3_corrected coherent phase_unknown wide_band_squaring"
    );
    for snr in (0..=72).map(|i| -16.0 + f64::from(i) * 0.25) {
        let frames = |bit_error: fn(f64) -> f64, corrected| theory::r900_frames(bit_error, snr, corrected);
        let _ = writeln!(
            table,
            "{snr} {:.4} {:.4} {:.4} {:.4}",
            frames(theory::coherent, 3),
            frames(theory::coherent, 0),
            frames(theory::phase_unknown, 0),
            frames(theory::squaring, 0),
        );
    }
    table.push_str("\n\n");
}

/// Adds the limits that theory sets for a frame of `bits` to `table`.
fn limits(name: &str, bits: u32, table: &mut String) {
    let _ = writeln!(
        table,
        "# limits of {name}: snr_db coherent_3_corrected coherent phase_unknown wide_band_squaring"
    );
    for snr in (0..=72).map(|i| -16.0 + f64::from(i) * 0.25) {
        let coherent = theory::coherent(snr);
        let _ = writeln!(
            table,
            "{snr} {:.4} {:.4} {:.4} {:.4}",
            theory::frames(coherent, bits, 3),
            theory::frames(coherent, bits, 0),
            theory::frames(theory::phase_unknown(snr), bits, 0),
            theory::frames(theory::squaring(snr), bits, 0),
        );
    }
    table.push_str("\n\n");
}

/// Prints the loss by impaired channels, in dB at the 50 % and 90 % points.
fn channels(packets: usize) {
    let real = Keying {
        short_s: 3.5e-6,
        edge_s: 2.5e-6,
        drift_hz_per_s: 20e3,
        wander_rad_per_sqrt_s: 0.0,
    };
    let wander = |rad| Keying {
        wander_rad_per_sqrt_s: rad,
        ..Keying::default()
    };
    let plain = Channel::default();
    let list = [
        ("plain", plain),
        (
            "clock ±200 ppm",
            Channel {
                clock_ppm: 200.0,
                ..plain
            },
        ),
        ("DC 5 LSB", Channel { dc_lsb: 5.0, ..plain }),
        (
            "1.0 MS/s",
            Channel {
                sample_rate_hz: 1.0e6,
                ..plain
            },
        ),
        (
            "2.048 MS/s",
            Channel {
                sample_rate_hz: 2.048e6,
                ..plain
            },
        ),
        (
            "3.2 MS/s",
            Channel {
                sample_rate_hz: 3.2e6,
                ..plain
            },
        ),
        (
            "back to back",
            Channel {
                back_to_back: true,
                ..plain
            },
        ),
        (
            "real keying",
            Channel {
                keying: real,
                clock_ppm: 50.0,
                ..plain
            },
        ),
        (
            "clock ±1000 ppm",
            Channel {
                clock_ppm: 1000.0,
                ..plain
            },
        ),
        (
            "wander 10 rad/√s",
            Channel {
                keying: wander(10.0),
                ..plain
            },
        ),
        (
            "wander 50 rad/√s",
            Channel {
                keying: wander(50.0),
                ..plain
            },
        ),
    ];
    println!("Channels: dB lost against the plain one at 50 % / 90 % decoded\n");
    print!("{:18}", "");
    TARGETS
        .iter()
        .for_each(|(protocol, ..)| print!("{:>16}", format!("{protocol:?}")));
    println!();
    let mut of_plain = Vec::new();
    for (name, channel) in list {
        print!("{name:18}");
        for (i, (protocol, half, _)) in TARGETS.into_iter().enumerate() {
            let points: Vec<f64> = (0..=13).map(|i| half - 2.1 + f64::from(i) * 0.5).collect();
            let curve = parallel(&points, |&snr| {
                trial::alone(protocol, snr, packets / 3, channel, Trust::Normal)
            });
            let here = [0.5, 0.9].map(|share| interpolate(&points, &curve, share));
            print_loss(here, i, &mut of_plain);
        }
        println!();
    }
    println!();
}

/// Prints the thresholds of column `i`: those of the first row as they are, of the others their distance from it.
fn print_loss(here: [f64; 2], i: usize, of_plain: &mut Vec<[f64; 2]>) {
    if of_plain.len() <= i {
        of_plain.push(here);
        print!("  {:6.2} /{:6.2}", here[0], here[1]);
    } else {
        print!(
            "  {:+6.2} /{:+6.2}",
            here[0] - of_plain[i][0],
            here[1] - of_plain[i][1]
        );
    }
}

/// Prints how often both of two frames that overlap in time are decoded.
fn pairs(packets: usize) {
    println!("Collisions: two SCM that overlap in time, {packets} pairs; share of which both are decoded\n");
    for (name, snr_db, weaker_db, apart_hz) in [
        ("equal, 10 dB, 500 kHz apart", 10.0, 0.0, 500e3),
        ("one 10 dB weaker, 500 kHz apart", 10.0, 10.0, 500e3),
        ("one 30 dB weaker (-9 dB), 500 kHz apart", 21.0, 30.0, 500e3),
        ("one 30 dB weaker (0 dB), 500 kHz apart", 30.0, 30.0, 500e3),
        ("equal, 10 dB, 60 kHz apart", 10.0, 0.0, 60e3),
    ] {
        let halves = parallel(&[0.0, 1.0], |shift| {
            trial::pairs(snr_db, weaker_db, apart_hz + shift, packets / 2)
        });
        let mut both = halves[0];
        both.add(halves[1]);
        println!("{name:42} {:6.1} %   wrong {}", 100.0 * both.share(), both.wrong);
    }
    for snr_db in [-13.0, -10.0] {
        let halves = parallel(&[1, 2], |&seed| known::pairs(snr_db, packets / 2, seed));
        let mut both = halves[0];
        both.add(halves[1]);
        let name = format!("known one 30 dB weaker ({snr_db} dB)");
        println!("{name:42} {:6.1} %   wrong {}", 100.0 * both.share(), both.wrong);
    }
    println!();
}

/// Counts packets that were not sent, near the threshold, where they are likeliest.
fn wrong(packets: usize) {
    println!(
        "Wrong words among packets near threshold (between the 50 % point - 0.5 dB and the 90 % point)\n"
    );
    for (trust, packets) in [
        (Trust::Strict, packets / 4),
        (Trust::Normal, packets),
        (Trust::Eager, packets / 4),
    ] {
        let mut sum = Outcome::default();
        for (protocol, half, most) in TARGETS {
            let points: Vec<f64> = (0..4)
                .map(|i| half - 0.5 + f64::from(i) * (most - half + 0.5) / 3.0)
                .collect();
            parallel(&points, |&snr| {
                trial::alone(protocol, snr, packets / 4, Channel::default(), trust)
            })
            .into_iter()
            .for_each(|point| sum.add(point));
        }
        println!(
            "{trust:?}: sent {}, received {}, wrong {}",
            sum.sent, sum.received, sum.wrong
        );
    }
    known_wrong(packets / 12, None);
    println!();
}

/// Prints the same for known meters, and for frames of neighbors whose ids differ in one bit; of both also for such that repeat their counter.
fn known_wrong(packets: usize, only: Option<&str>) {
    const REPEATS: usize = 5;
    let wanted = |known: &Known| only.is_none_or(|only| only == known.name());
    let kinds = KNOWN_TARGETS
        .into_iter()
        .filter(|target| wanted(&target.0) && target.0 != Known::IdmFirst);
    for (known, half, most) in kinds {
        let points = [half, (half + most) / 2.0, most];
        let [mut sums, mut neighbors] = [[Outcome::default(); 2]; 2];
        let counted = parallel(&points, |&snr| {
            let times = [1, REPEATS];
            (
                times.map(|times| known::repeated(known, snr, packets, times)),
                times.map(|times| known::relatives(known, snr, packets, times)),
            )
        });
        for (known, relatives) in counted {
            (0..2).for_each(|i| sums[i].add(known[i]));
            (0..2).for_each(|i| neighbors[i].add(relatives[i]));
        }
        for (i, how) in ["", ", repeated"].into_iter().enumerate() {
            println!(
                "Known {}{how}: sent {}, received {}, wrong {}; neighbors: sent {}, taken for the known meter {}",
                known.name(),
                sums[i].sent,
                sums[i].received,
                sums[i].wrong,
                neighbors[i].sent,
                neighbors[i].wrong
            );
        }
    }
}

/// Returns the SNR at which the curve crosses `share`.
fn interpolate(points: &[f64], curve: &[Outcome], share: f64) -> f64 {
    // The counts are noisy and the curve uneven: take the last crossing, the least favorable one.
    let below = (0..curve.len()).rev().find(|&i| curve[i].share() < share);
    match below {
        Some(i) if i + 1 < curve.len() => {
            let (a, b) = (curve[i].share(), curve[i + 1].share());
            points[i] + (points[i + 1] - points[i]) * (share - a) / (b - a)
        }
        Some(_) => f64::INFINITY,
        None => points[0],
    }
}

fn crossing(points: &[f64], curve: &[Outcome], share: f64) -> String {
    format!("{:6.2} dB", interpolate(points, curve, share))
}

/// Runs `work` for every item on all processors; results are in the order of the items.
fn parallel<T: Sync, R: Send + Clone + Default>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    let results = Mutex::new(vec![R::default(); items.len()]);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(i) else {
                        break;
                    };
                    let result = work(item);
                    results.lock().expect("no worker panics")[i] = result;
                }
            });
        }
    });
    results.into_inner().expect("no worker panics")
}
