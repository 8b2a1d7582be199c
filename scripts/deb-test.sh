#!/bin/sh
# Builds the package, and lives through its life in a Debian 13 of its own: installed, configured, run as its user, upgraded,
# removed, purged.
set -eu
cd "$(dirname "$0")/.."
. scripts/debian-root.sh
need dpkg-deb:dpkg systemd-analyze:systemd
packaging/build-deb.sh
package=$(ls -t target/debian/*.deb | head -1)
echo "── $package: $(du -k "$package" | cut -f1) kB"
systemd-analyze security --offline=true --threshold=25 packaging/metertap.service | tail -1

base=${METERTAP_ROOT:-/var/tmp/metertap-debian13}-base
debian_root "$base"
root=$base-deb
as_root rm -rf "$root"
as_root cp -a "$base" "$root"
give_back() {
  as_root rm -rf "$root"
}
trap give_back EXIT

apt_install() {
  as_root cp "$1" "$root/tmp/metertap.deb"
  in_root "$root" apt-get install -y -qq --no-install-recommends /tmp/metertap.deb >/dev/null 2>&1
}
as_service() {
  in_root "$root" setpriv --reuid metertap --regid metertap --init-groups "$@"
}

echo "── installed"
in_root "$root" apt-get update -qq
apt_install "$package"
in_root "$root" metertap --version
in_root "$root" id metertap
in_root "$root" stat -c '%A %U:%G %n' /etc/metertap /etc/metertap/metertap.toml
for file in /usr/share/man/man1/metertap.1.gz /usr/share/bash-completion/completions/metertap \
  /usr/lib/systemd/system/metertap.service /usr/lib/udev/rules.d/60-metertap.rules /usr/share/doc/metertap/licences.tsv; do
  [ -s "$root$file" ] || { echo "$file is missing" >&2; exit 1; }
done
! grep -q 'MODE="0666"' "$root/usr/lib/udev/rules.d/60-metertap.rules"
# Without a dongle the sample is right, and lacks nothing on this machine.
as_service metertap check --config /etc/metertap/metertap.toml | tee "$base.check"
! grep -q 'is missing' "$base.check"

echo "── configured, and run as its own user"
as_root cp testdata/street/street_912.600155M_2359.296k.cu8 "$root/tmp/"
as_root sed -i 's|^source = "rtlsdr"|source = "/tmp/street_912.600155M_2359.296k.cu8"|; s|^gain = .*||; s|^# listen = "0.0.0.0:8080"|listen = "127.0.0.1:18087"|' \
  "$root/etc/metertap/metertap.toml"
as_service metertap run --config /etc/metertap/metertap.toml >"$base.jsonl" 2>"$base.log" || { cat "$base.log"; exit 1; }
heard=$(grep -c '"id"' "$base.jsonl")
echo "$heard readings"
[ "$heard" -gt 15 ]

echo "── upgraded"
before=$(as_root cat "$root/etc/metertap/metertap.toml" | sha256sum)
newer=target/debian/newer
rm -rf "$newer"
dpkg-deb --raw-extract "$package" "$newer"
sed -i 's/^Version: .*/&.1/' "$newer/DEBIAN/control"
dpkg-deb --root-owner-group --build "$newer" target/debian/newer.deb >/dev/null
apt_install target/debian/newer.deb
rm -rf "$newer" target/debian/newer.deb
in_root "$root" dpkg-query --show metertap
[ "$before" = "$(as_root cat "$root/etc/metertap/metertap.toml" | sha256sum)" ]

echo "── removed, and purged"
in_root "$root" apt-get remove -y -qq metertap >/dev/null 2>&1
[ ! -e "$root/usr/bin/metertap" ]
[ -e "$root/etc/metertap/metertap.toml" ]
in_root "$root" apt-get purge -y -qq metertap >/dev/null 2>&1
[ ! -e "$root/etc/metertap" ]
[ ! -e "$root/var/lib/metertap" ]
left=$(in_root "$root" sh -c 'find / -xdev -name "*metertap*" -not -path "/proc/*" -not -path "/tmp/*" -not -path "/var/lib/dpkg/*" -not -path "/var/cache/*" -not -path "/var/log/*"')
[ -z "$left" ] || { echo "left behind: $left" >&2; exit 1; }
echo "ok"
