#!/bin/sh
# Makes everything in testdata/ again, byte for byte, with the project's own tools.
set -eu
cd "$(dirname "$0")/.."
cargo build --release --quiet
metertap=target/release/metertap
"$metertap" synth testdata/street/street.toml \
    --out testdata/street/street_912.600155M_2359.296k.cu8
for draft in testdata/p1/*.draft; do
    case $draft in
    */dsmr22.draft | */dsmr30.draft) crc=--no-crc ;;
    *) crc= ;;
    esac
    # shellcheck disable=SC2086 # no flag where there is none
    "$metertap" synth-p1 "$draft" --out "${draft%.draft}.txt" $crc
    # Read with the eyes before it is committed: this is what must come out.
    "$metertap" decode p1 "${draft%.draft}.txt" >"${draft%.draft}.jsonl"
done
for protocol in sml tic iec; do
    for draft in testdata/"$protocol"/*.draft; do
        "$metertap" synth-wire "$protocol" "$draft" --out "${draft%.draft}.bin"
        "$metertap" decode "$protocol" "${draft%.draft}.bin" >"${draft%.draft}.jsonl"
    done
done
# The keys stand in tests/it/wire.rs as well: made up, like all here.
for name in luxembourg austria; do
    "$metertap" synth-p1 "testdata/p1/$name.draft" --out "testdata/p1/$name.bin" --counter 1 \
        --key 000102030405060708090A0B0C0D0E0F --auth-key 00112233445566778899AABBCCDDEEFF
done
