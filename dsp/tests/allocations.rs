//! Once constructed, the receiver allocates nothing, on a quiet band or on a busy one.

use metertap_dsp::synth::{Keying, Random, Scene, Transmission, chips, random_frame};
use metertap_dsp::{Config, Expectation, Protocol, Receiver, Trust};

#[test]
fn given_a_receiver_that_has_begun_then_it_allocates_no_more() {
    let rate = 1.0e6;
    let mut random = Random::new(1);
    let mut at = 0.01;
    let mut transmissions = Vec::new();
    for (i, protocol) in Protocol::ALL.into_iter().cycle().take(24).enumerate() {
        let frame = random_frame(protocol, &mut random);
        transmissions.push(Transmission {
            chips: chips(protocol, &frame, 0),
            start_s: at,
            offset_hz: random.uniform(-0.4, 0.4) * rate,
            phase_rad: 0.0,
            // Strong, middling and too weak.
            snr_db: [25.0, 5.0, -6.0, -12.0, 10.0][i % 5],
            clock_ppm: 0.0,
            keying: Keying::default(),
        });
        at += 0.017;
    }
    let scene = Scene {
        sample_rate_hz: rate,
        samples: ((at + 0.1) * rate) as usize,
        noise: 1.0,
        transmissions,
    };
    let mut samples = scene.render(&mut random);
    samples.iter_mut().for_each(|sample| *sample *= 0.02);
    let mut receiver = Receiver::new(Config {
        sample_rate_hz: rate,
        trust: Trust::Normal,
        tentative: true,
    })
    .unwrap();
    let mut packets = 0;
    let expected = (0..10).filter_map(|i| {
        let protocol = [Protocol::Scm, Protocol::ScmPlus, Protocol::R900][i % 3];
        Expectation::after(protocol, &random_frame(protocol, &mut random), 1000)
    });
    receiver.expect(&expected.collect::<Vec<_>>());
    // Warm-up: the first packet may fill tables that the standard library makes lazily.
    let (begin, rest) = samples.split_at(60_000);
    receiver.push(begin, |_| packets += 1);
    let before = packets;
    let counted = allocation_counter::measure(|| {
        for block in rest.chunks(10_007) {
            receiver.push(block, |_| packets += 1);
        }
    });
    assert!(packets - before > 10, "{packets} packets");
    assert_eq!(counted.count_total, 0, "{} bytes", counted.bytes_total);
}
