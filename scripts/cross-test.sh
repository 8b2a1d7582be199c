#!/bin/sh
# Builds for arm64 and armhf with Debian 13's own compiler, in a Debian 13 of its own; runs the tests of the decoder and the
# street under qemu-user, compares what is heard with what this machine hears, and counts the instructions that it takes.
set -eu
cd "$(dirname "$0")/.."
. scripts/debian-root.sh
need qemu-aarch64:qemu-user gcc:gcc
root=${METERTAP_ROOT:-/var/tmp/metertap-debian13}
debian_root "$root"
in_root "$root" sh -c 'dpkg --add-architecture arm64; dpkg --add-architecture armhf'
debian_root "$root" rustc cargo gcc libc6-dev ca-certificates gcc-aarch64-linux-gnu gcc-arm-linux-gnueabihf \
  libc6-dev-arm64-cross libc6-dev-armhf-cross libstd-rust-dev:arm64 libstd-rust-dev:armhf librtlsdr-dev:arm64
# In the folder of the same name there, so that tests find what lies here.
in_root "$root" sh -c "rustc --version; rm -rf '$PWD'; mkdir -p '$PWD' /metertap"
git ls-files -z | tar --null -c -T - | as_root tar -x --no-same-owner -C "$root$PWD"
# Crates that this machine has downloaded already are not downloaded again.
crates=${CARGO_HOME:-$HOME/.cargo}/registry
as_root mkdir -p "$crates" "$root/root/.cargo/registry"
as_root mount --bind "$crates" "$root/root/.cargo/registry"
trap 'as_root umount "$root/root/.cargo/registry"' EXIT

work=target/cross
mkdir -p "$work"
work=$PWD/$work
street=testdata/street/street_912.600155M_2359.296k.cu8
cc -O2 -shared -fPIC -o "$work/count.so" scripts/qemu-count.c
cargo build --release --quiet
target/release/metertap replay "$street" --signal --start 2026-01-31T12:00:00Z >"$work/host.jsonl" 2>/dev/null
wc -l <"$work/host.jsonl" | sed 's/$/ messages here/'
# The same street for 4 s: the difference is without what a start costs.
long=$work/long_912.600155M_2359.296k.cu8
sed 's/^seconds = .*/seconds = 4.42/' testdata/street/street.toml >"$work/long.toml"
target/release/metertap synth "$work/long.toml" --out "$long" 2>/dev/null

for arch in arm64 armhf; do
  case $arch in
    arm64) target=aarch64-unknown-linux-gnu cc=aarch64-linux-gnu qemu=qemu-aarch64 ;;
    armhf) target=armv7-unknown-linux-gnueabihf cc=arm-linux-gnueabihf qemu=qemu-arm ;;
  esac
  upper=$(echo "$target" | tr a-z- A-Z_)
  build() {
    in_root "$root" env CARGO_TARGET_DIR=/metertap/target "CARGO_TARGET_${upper}_LINKER=$cc-gcc" \
      "CC_$(echo "$target" | tr - _)=$cc-gcc" CARGO_PROFILE_RELEASE_DEBUG=0 \
      sh -c "cd '$PWD' && cargo $*"
  }
  foreign() {
    "$qemu" -L "$root/usr/$cc" "$@"
  }
  echo "── $arch"
  build build --locked --quiet --release --target "$target"
  program=$root/metertap/target/$target/release/metertap
  foreign "$program" replay "$street" --signal --start 2026-01-31T12:00:00Z >"$work/$arch.jsonl" 2>/dev/null
  cmp "$work/host.jsonl" "$work/$arch.jsonl"
  echo "the street: the same, byte for byte"
  # Its own account of what it has built.
  build test --locked --quiet --no-run --lib -p metertap -p metertap-dsp --target "$target" --message-format json \
    | sed -n 's|.*"executable":"\([^"]*\)".*|\1|p' >"$work/$arch.tests"
  while read -r tests; do
    foreign "$root$tests" --quiet
  done <"$work/$arch.tests"
  count() {
    foreign -plugin "$work/count.so" "$program" replay "$1" 2>&1 >/dev/null | sed -n 's/^instructions: //p'
  }
  awk -v "short=$(count "$street")" -v "long=$(count "$long")" -v "arch=$arch" \
    'BEGIN { printf "%s: %.0f million instructions for a second of a busy street\n", arch, (long - short) / 4 / 1e6 }'
done
