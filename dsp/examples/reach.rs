use metertap_dsp::{synth::*, *};
use std::time::Instant;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let n: usize = args.get(1).map_or(200, |s| s.parse().unwrap());
    let rate: f64 = args.get(2).map_or(2_359_296.0, |s| s.parse().unwrap());
    let opt = |k: &str| args.iter().find_map(|a| a.strip_prefix(k)).map_or(0.0, |v| v.parse::<f64>().unwrap());
    let only = args.iter().find_map(|a| a.strip_prefix("p=")).map(|s| s.to_string());
    let ppm = opt("ppm=");
    let keying = Keying { short_s: opt("short=") * 1e-6, edge_s: opt("edge=") * 1e-6, drift_hz_per_s: opt("drift="), wander_rad_per_sqrt_s: opt("wander=") };
    let trust = if args.iter().any(|a| a == "strict") { Trust::Strict } else if args.iter().any(|a| a == "eager") { Trust::Eager } else { Trust::Normal };
    for (protocol, snrs) in [
        (Protocol::Scm, [-14.0, -13.5, -13.0, -12.5, -12.0, -11.5, -11.0, -10.0]),
        (Protocol::ScmPlus, [-13.0, -12.5, -12.0, -11.5, -11.0, -10.5, -10.0, -9.0]),
        (Protocol::Idm, [-11.0, -10.5, -10.0, -9.5, -9.2, -9.0, -8.7, -8.0]),
        (Protocol::R900, [-13.0, -12.5, -12.0, -11.5, -11.0, -10.5, -10.0, -9.0]),
    ] {
        if only.as_ref().is_some_and(|o| *o != format!("{protocol:?}")) { continue; }
        println!("{protocol:?}");
        for snr in snrs {
            let snr = snr + opt("plus=");
            let mut random = Random::new(42 + (snr * 10.0) as i64 as u64);
            let (mut good, mut wrong, mut secs, mut cpu) = (0, 0, 0.0, 0.0);
            let mut tally = Tally::default();
            let batch = 20;
            for _ in 0..n / batch {
                let len = protocol.chips() as f64 / CHIP_RATE_HZ;
                let gap = 0.012;
                let total = 0.03 + batch as f64 * (len + gap);
                let mut frames = vec![];
                let transmissions = (0..batch).map(|i| {
                    let frame = random_frame(protocol, &mut random);
                    frames.push(frame.clone());
                    Transmission { chips: chips(protocol, &frame, 0), start_s: 0.02 + i as f64 * (len + gap) + random.uniform(0.0, 0.004),
                        offset_hz: random.uniform(-0.42, 0.42) * rate, phase_rad: random.uniform(0.0, 6.28), snr_db: snr,
                        clock_ppm: if ppm > 0.0 { random.uniform(-ppm, ppm) } else { -ppm }, keying: keying.clone() }
                }).collect();
                let scene = Scene { sample_rate_hz: rate, samples: (total * rate) as usize, noise: 1.0, transmissions };
                let mut iq = scene.render(&mut random);
                let mut bytes = vec![];
                let dc = opt("dc=") as f32 / 127.5;
                for s in iq.iter_mut() { *s = *s * 0.08 + Complex32::new(dc, dc); }
                iq::Format::Cu8.encode(&iq, &mut bytes);
                iq.clear();
                iq::Format::Cu8.decode(&bytes, &mut iq);
                let mut rx = Receiver::new(Config { sample_rate_hz: rate, trust }).unwrap();
                let t = Instant::now();
                let mut got = vec![];
                rx.push(&iq, |p| got.push(*p));
                rx.flush(|p| got.push(*p));
                cpu += t.elapsed().as_secs_f64();
                secs += total;
                for p in &got { if p.protocol == protocol && frames.iter().any(|f| f == p.bytes()) { good += 1 } else { wrong += 1; if opt("v=") > 0.0 { println!("wrong {:?} {:?}", p.signal, p.protocol); } } }
                let t = rx.tally();
                tally.bursts += t.bursts; tally.preambles += t.preambles; tally.doubtful += t.doubtful; tally.duplicates += t.duplicates;
            }
            println!("{snr:6.1} dB  {:5.1} %  wrong {wrong}  cpu/s {:.4}  {tally:?}", 100.0 * good as f64 / (n / batch * batch) as f64, cpu / secs);
        }
    }
    // pure noise
    if only.is_none() || only.as_deref() == Some("noise") {
    let mut random = Random::new(7);
    let scene = Scene { sample_rate_hz: rate, samples: rate as usize * 3, noise: 0.08, transmissions: vec![] };
    let iq = scene.render(&mut random);
    let mut rx = Receiver::new(Config { sample_rate_hz: rate, trust }).unwrap();
    let t = Instant::now();
    let mut wrong = 0;
    for _ in 0..3 { rx.push(&iq, |_| wrong += 1); }
    println!("noise: {wrong} packets in 9 s, cpu/s {:.4}, {:?}", t.elapsed().as_secs_f64() / 9.0, rx.tally());
    }
}
