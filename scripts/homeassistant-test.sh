#!/bin/sh
# Home Assistant itself judges what metertap announces: registries, states, long-term statistics, energy dashboard and log.
# Needs root, 3 GB, and half an hour the first time (a Debian sid with Python 3.14, and `homeassistant` of PyPI in it); then a quarter.
# PARTS="units start lifecycle hosts forms path homie energy" chooses some of its parts.
set -eu
cd "$(dirname "$0")/.."
. scripts/debian-root.sh
root=${METERTAP_ROOT:-/var/tmp/metertap-debian}-homeassistant
suite=sid debian_root "$root" python3 python3-venv python3-dev ca-certificates gcc g++ libc6-dev make libffi-dev libssl-dev tzdata libturbojpeg0 mosquitto
as_root mkdir -p "$root/ha/metertap"
for file in /etc/ssl/certs/ca-certificates.crt /etc/pip.conf; do
  [ ! -e "$file" ] || as_root cp "$file" "$root$file"
done
for folder in proc dev dev/pts; do
  mountpoint -q "$root/$folder" || as_root mount --bind "/$folder" "$root/$folder"
done
give_back() {
  as_root umount "$root/proc" "$root/dev/pts" "$root/dev" || true
}
trap give_back EXIT
in_ha() {
  as_root chroot "$root" env -i HOME=/ha PATH=/ha/venv/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt PIP_CERT=/etc/ssl/certs/ca-certificates.crt PYTHONDONTWRITEBYTECODE=1 "$@"
}
if [ ! -e "$root/ha/.made" ]; then
  in_ha python3 -m venv /ha/venv
  in_ha pip install -q --disable-pip-version-check homeassistant
  as_root touch "$root/ha/.made"
fi
if [ ! -e "$root/ha/homie/.made" ]; then
  in_ha python3 -m venv /ha/homie
  in_ha /ha/homie/bin/pip install -q --disable-pip-version-check homieclient==0.0.1
  as_root touch "$root/ha/homie/.made"
fi
cargo build --features demo
as_root cp "${CARGO_TARGET_DIR:-target}/debug/metertap" "$root/ha/metertap/"
as_root rm -rf "$root/ha/test" "$root/ha/run"
as_root cp -r scripts/homeassistant "$root/ha/test"
as_root cp docs/homeassistant.md "$root/ha/test"
in_ha pip list 2>/dev/null | grep -i '^homeassistant '
in_ha python /ha/test/test.py /ha/run /ha/metertap/metertap ${PARTS:-}
