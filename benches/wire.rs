//! Cost of a P1 telegram, from bytes to reports.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use metertap::port::{Listener, P1, P1Options};
use std::hint::black_box;
use std::path::Path;

fn p1(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("p1");
    for name in ["switzerland", "dsmr50", "belgium"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("testdata/p1")
            .join(name);
        let bytes = std::fs::read(path.with_extension("txt")).unwrap();
        let mut listener = P1::new(P1Options::default());
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut reports = 0;
                listener.push(black_box(&bytes), &mut |said| {
                    reports += u32::from(said.result.is_ok());
                });
                assert!(reports > 0);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, p1);
criterion_main!(benches);
