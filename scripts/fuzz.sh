#!/bin/sh
# Fuzzes a parser of a wire: scripts/fuzz.sh TARGET [SECONDS]. Needs a C++ compiler; works with a stable Rust,
# since the coverage pass is asked for by hand and no sanitizer is used (there is no unsafe code to sanitize).
set -eu
cd "$(dirname "$0")/../fuzz"
target=$1 seconds=${2:-60}
corpus=corpus/$target
mkdir -p "$corpus"
[ -d "../testdata/$target" ] && cp ../testdata/"$target"/*.txt ../testdata/"$target"/*.bin "$corpus" 2>/dev/null || true
host=$(rustc -vV | sed -n 's/^host: //p')
# The pass must not touch build scripts, so the host is named as the target.
RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Cdebug-assertions -Ccodegen-units=1" \
    cargo build --release --quiet --target "$host" --bin "$target"
"target/$host/release/$target" "$corpus" -max_total_time="$seconds" -max_len=20000 -rss_limit_mb=512 -print_final_stats=1
