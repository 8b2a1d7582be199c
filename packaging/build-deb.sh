#!/bin/sh
# Builds target/debian/metertap_<version>_<architecture>.deb with dpkg-deb, for this machine. `make release` gives a program that
# it has built for TARGET, a GENERATOR that runs here, the oldest LIBC that it works with, and the folder OUT.
set -eu
cd "$(dirname "$0")/.."
. scripts/release-env.sh
. packaging/project.sh
describe_target "${TARGET:=$(rustc -vV | sed -n 's/^host: //p')}"
if [ -z "${PROGRAM:-}" ]; then
  cargo build --quiet --release --locked --target "$TARGET"
  PROGRAM=target/$TARGET/release/metertap
  # What it was linked with on this machine is what it needs.
  LIBC=$(dpkg-query --show --showformat '${Version}' libc6 | cut -d- -f1)
fi
out=${OUT:-target/debian}
tree=target/debian/tree-$arch
rm -rf "$tree"
mkdir -p "$out"
packaging/install-files.sh "$PROGRAM" "${GENERATOR:-$PROGRAM}" "$tree/usr" /usr
doc=$tree/usr/share/doc/metertap
{
  printf 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: metertap\n'
  [ -z "$repository" ] || printf 'Source: %s\n' "$repository"
  printf '\nFiles: *\nCopyright: %s\nLicense: GPL-3.0-or-later\n' "$maintainer"
  printf '\nFiles: decode/* dsp/*\nCopyright: %s\nLicense: MIT or Apache-2.0\n' "$maintainer"
  printf '\nLicense: GPL-3.0-or-later\n On Debian systems, the text is in /usr/share/common-licenses/GPL-3.\n'
  printf '\nLicense: MIT or Apache-2.0\n'
  sed 's/^$/./; s/^/ /' dsp/LICENSE-MIT
  printf ' .\n The text of the Apache License is in /usr/share/common-licenses/Apache-2.0.\n'
  printf '\nComment: licences.tsv lists the crates in the program, each with its license.\n'
} >"$doc/copyright"
chmod 0644 "$doc/copyright"
rm "$doc/LICENSE"
ln -s ../../common-licenses/GPL-3 "$doc/LICENSE"
mkdir -p "$tree/DEBIAN"
install -m 0755 packaging/deb/postinst packaging/deb/prerm packaging/deb/postrm "$tree/DEBIAN"
{
  cat <<CONTROL
Package: metertap
Version: $version
Architecture: $arch
Maintainer: $maintainer
Section: utils
Priority: optional
Depends: libc6 (>= $LIBC), libgcc-s1, passwd
Recommends: librtlsdr0 | librtlsdr2, ca-certificates
Installed-Size: $(du -sk "$tree/usr" | cut -f1)
CONTROL
  [ -z "$homepage" ] || echo "Homepage: $homepage"
  cat <<CONTROL
Description: utility meter receiver for radio and wire, publishes to MQTT
 metertap receives Itron ERT and Neptune R900 meters by radio with an RTL-SDR
 dongle, and reads P1/DSMR, DLMS, SML, TIC, M-Bus, Kamstrup and IEC 62056-21
 meters by wire. It publishes their readings over MQTT, announces them to
 Home Assistant, and shows them on a web page.
CONTROL
} >"$tree/DEBIAN/control"
normalize "$tree"
dpkg-deb --root-owner-group -Zxz --build "$tree" "$out/metertap_${version}_$arch.deb"
rm -rf "$tree"
