#!/bin/sh
# Builds for architecture $1 (Docker's name) and installs into $2 everything that the image adds to its base.
set -eu
case "$1" in
  amd64) target=x86_64-unknown-linux-gnu cc=gcc ;;
  arm64) target=aarch64-unknown-linux-gnu cc=aarch64-linux-gnu-gcc ;;
  arm) target=armv7-unknown-linux-gnueabihf cc=arm-linux-gnueabihf-gcc ;;
  *) echo "unknown architecture $1: expected amd64, arm64 or arm" >&2; exit 1 ;;
esac
out=$2
. scripts/release-env.sh
export "CARGO_TARGET_$(echo "$target" | tr a-z- A-Z_)_LINKER=$cc" "CC_$(echo "$target" | tr - _)=$cc"
cargo build --quiet --release --locked --target "$target"
mkdir -p "$out"
for package in /packages/*.deb; do
  dpkg-deb --extract "$package" "$out"
done
rm -rf "$out/usr/share" "$out/etc" "$out/lib"
install -D -m 0755 "target/$target/release/metertap" "$out/usr/bin/metertap"
install -D -m 0644 docker/metertap.toml "$out/etc/metertap/metertap.toml"
install -D -m 0644 /etc/ssl/certs/ca-certificates.crt "$out/etc/ssl/certs/ca-certificates.crt"
install -D -m 0644 testdata/street/street_912.600155M_2359.296k.cu8 "$out/usr/share/metertap/street_912.600155M_2359.296k.cu8"
install -d -m 0755 -o 65532 -g 65532 "$out/var/lib/metertap"
