use metertap_dsp::*;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let bytes = std::fs::read(&a[1]).unwrap();
    let rate: f64 = a[2].parse().unwrap();
    let mut iq = vec![];
    iq::Format::Cu8.decode(&bytes, &mut iq);
    let mut rx = Receiver::new(Config { sample_rate_hz: rate, trust: Trust::Normal }).unwrap();
    let show = |p: &Packet| {
        let b = p.bytes();
        let id = (b[2] as u32 & 6) << 23 | u32::from_be_bytes([0, b[7], b[8], b[9]]);
        let c = u32::from_be_bytes([0, b[4], b[5], b[6]]);
        println!("{:?} @{:.1} ms id {id} type {} cons {c} off {:.0} snr {:.1} lvl {:.1} ppm {:.0} corr {} doubt {:.1e}", p.protocol, p.start_sample as f64 / rate * 1e3, b[3] >> 2 & 15, p.signal.offset_hz, p.signal.snr_db, p.signal.level_dbfs, p.signal.clock_ppm, p.signal.corrected, p.signal.doubt);
    };
    rx.push(&iq, show);
    rx.flush(show);
    println!("{:?} noise {}", rx.tally(), rx.noise_dbfs());
}
