#!/bin/sh
# Builds target/debian/metertap_<version>_<architecture>.deb with dpkg-deb. Set TARGET=aarch64-unknown-linux-gnu, and a linker
# for it, to build for another architecture.
set -eu
cd "$(dirname "$0")/.."
. scripts/release-env.sh
version=$(cargo metadata --no-deps --format-version 1 | sed 's/.*"name":"metertap","version":"\([^"]*\)".*/\1/')
case "${TARGET:=$(rustc -vV | sed -n 's/^host: //p')}" in
  x86_64-*) arch=amd64 ;;
  aarch64-*) arch=arm64 ;;
  armv7-*) arch=armhf ;;
  *) echo "no Debian architecture is known for $TARGET" >&2; exit 1 ;;
esac
cargo build --quiet --release --locked --target "$TARGET"
# The program itself writes manual pages and completions; a foreign one runs under qemu.
case "$TARGET" in
  "$(rustc -vV | sed -n 's/^host: //p')") run= ;;
  aarch64-*) run="qemu-aarch64-static -L /usr/aarch64-linux-gnu" ;;
  armv7-*) run="qemu-arm-static -L /usr/arm-linux-gnueabihf" ;;
esac
program=target/$TARGET/release/metertap
tree=target/debian/tree-$arch
rm -rf "$tree"
install -D -m 0755 "$program" "$tree/usr/bin/metertap"
install -D -m 0644 packaging/metertap.service "$tree/usr/lib/systemd/system/metertap.service"
install -D -m 0644 packaging/60-metertap.rules "$tree/usr/lib/udev/rules.d/60-metertap.rules"
install -D -m 0644 packaging/modprobe.conf "$tree/usr/lib/modprobe.d/metertap.conf"
doc=$tree/usr/share/doc/metertap
install -D -m 0644 packaging/metertap.toml "$doc/examples/metertap.toml"
install -m 0644 README.md docs/*.md "$doc"
install -m 0644 LICENSE "$doc/copyright"
gzip -9n <CHANGELOG.md >"$doc/changelog.gz"
# Name, version and license of every crate in the program.
cargo tree --locked --target "$TARGET" --edges normal --prefix none --format '{p}	{l}' \
  | sed "s|($PWD[^)]*)||; s/ (\*)//" | sort -u >"$doc/licences.tsv"
$run "$program" manual "$tree/usr/share/man/man1"
gzip -9n "$tree"/usr/share/man/man1/*.1
for shell in bash:share/bash-completion/completions/metertap zsh:share/zsh/vendor-completions/_metertap \
  fish:share/fish/vendor_completions.d/metertap.fish; do
  mkdir -p "$(dirname "$tree/usr/${shell#*:}")"
  $run "$program" completions "${shell%%:*}" >"$tree/usr/${shell#*:}"
done
mkdir -p "$tree/DEBIAN"
install -m 0755 packaging/deb/postinst packaging/deb/prerm packaging/deb/postrm "$tree/DEBIAN"
cat >"$tree/DEBIAN/control" <<CONTROL
Package: metertap
Version: $version
Architecture: $arch
Maintainer: The metertap project <metertap@localhost>
Section: utils
Priority: optional
Depends: libc6 (>= 2.34), libgcc-s1, passwd
Recommends: librtlsdr0, ca-certificates
Installed-Size: $(du -sk "$tree/usr" | cut -f1)
Description: utility meter receiver for radio and wire, publishes to MQTT
 metertap receives Itron ERT and Neptune R900 meters by radio with an RTL-SDR
 dongle, and reads P1/DSMR, DLMS, SML, TIC, M-Bus, Kamstrup and IEC 62056-21
 meters by wire. It publishes their readings over MQTT, announces them to
 Home Assistant, and shows them on a web page.
CONTROL
# Fixed times and modes make the package reproducible.
find "$tree" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
find "$tree" -type d -exec chmod 0755 {} +
dpkg-deb --root-owner-group --build "$tree" "target/debian/metertap_${version}_$arch.deb"
