#!/bin/sh
# Makes everything in testdata/ again, byte for byte, with the project's own tools.
set -eu
cd "$(dirname "$0")/.."
cargo run --release --quiet -- synth testdata/street/street.toml \
    --out testdata/street/street_912.600155M_2359.296k.cu8
