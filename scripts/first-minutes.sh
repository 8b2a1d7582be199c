#!/bin/sh
# Plays three new users in fresh Debian 13 systems: an American with a dongle (the project's fake librtlsdr, which plays the street), a
# Dutch home with a P1 cable (a pseudo terminal), an Austrian with a key. Prints the seconds and answers until the first reading is at
# the broker. Uses PACKAGE, otherwise that of `make release`, otherwise builds one. Needs root.
set -eu
cd "$(dirname "$0")/.."
. scripts/debian-root.sh
. packaging/project.sh
need mosquitto:mosquitto mosquitto_sub:mosquitto-clients python3:python3
package=${PACKAGE:-target/release-$version/metertap_${version}_amd64.deb}
if [ ! -e "$package" ]; then
  packaging/build-deb.sh
  package=target/debian/metertap_${version}_amd64.deb
fi
cargo build --quiet --package fake-librtlsdr
base=/var/tmp/metertap-start-trixie
debian_root "$base"
work=$(mktemp -d /var/tmp/metertap-first.XXXXXX)
pids=
give_back() {
  [ -z "$pids" ] || kill $pids 2>/dev/null || true
  for user in american dutch austrian; do
    as_root umount "$work/$user/dev/pts" "$work/$user/proc" 2>/dev/null || true
  done
  as_root rm -rf "$work"
}
trap give_back EXIT
trap 'exit 130' INT TERM

port=18833
printf 'listener %s 127.0.0.1\nallow_anonymous true\n' "$port" >"$work/mosquitto.conf"
"$(command -v mosquitto || echo /usr/sbin/mosquitto)" -c "$work/mosquitto.conf" >"$work/broker.log" 2>&1 &
pids=$!
for user in american dutch austrian; do
  as_root cp -a "$base" "$work/$user"
  as_root mkdir -p "$work/$user/dev/pts"
  as_root mount --bind /dev/pts "$work/$user/dev/pts"
  # The program starts itself anew for each dongle.
  as_root mount -t proc proc "$work/$user/proc"
  as_root cp "$package" "$work/$user/tmp/metertap.deb"
done
dongle=$work/american/tmp/dongle
as_root mkdir -p "$dongle"
as_root cp "${CARGO_TARGET_DIR:-target}/debug/librtlsdr.so" "$dongle/librtlsdr.so.0"
as_root cp testdata/street/street_912.600155M_2359.296k.cu8 "$dongle/"
printf 'file=/tmp/dongle/street_912.600155M_2359.296k.cu8\nlog=/tmp/dongle/log\nserials=00000042\n' | as_root tee "$dongle/orders" >/dev/null
# The grid operator's letter has this key; the meter's telegrams are made with it.
dpkg-deb --fsys-tarfile "$package" | tar -xO ./usr/bin/metertap >"$work/metertap"
chmod +x "$work/metertap"
"$work/metertap" synth-p1 testdata/p1/austria.draft --out "$work/sealed" --counter 7 --key 00112233445566778899AABBCCDDEEFF \
  --auth-key 000102030405060708090A0B0C0D0E0F
as_root python3 scripts/first-minutes.py "$port" "$work/american" "$work/dutch" "$work/austrian" fake testdata/p1/dsmr50.txt "$work/sealed"
