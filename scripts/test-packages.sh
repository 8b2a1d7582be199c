#!/bin/sh
# Installs what the tests talk to, from Debian's packages. Says first what, how much, and which services are among it;
# these are neither started nor enabled, so the machine serves nothing afterwards that it did not serve before.
set -eu
PATH=$PATH:/usr/sbin:/sbin
missing=
for pair in mosquitto:mosquitto mosquitto_sub:mosquitto-clients nats-server:nats-server socat:socat openssl:openssl \
  iptables:iptables promtool:prometheus ip:iproute2 unshare:util-linux tmux:tmux chromium:chromium chromedriver:chromium-driver; do
  command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair#*:}"
done
# For scripts/axe.sh, one of these.
command -v npm >/dev/null || command -v curl >/dev/null || command -v wget >/dev/null || missing="$missing curl"
[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null; then
  echo "missing for the tests:$missing (names of Debian's packages; without apt-get, install them by hand)" >&2
  exit 1
fi

sudo=
if [ "$(id -u)" != 0 ]; then
  sudo=sudo
  if ! command -v sudo >/dev/null; then
    echo "missing for the tests:$missing. Install them as root: apt-get install --no-install-recommends$missing" >&2
    exit 1
  fi
fi
echo "The tests need these packages:$missing"
case $missing in *chromium*) echo "With what they depend on that is about 180 packages: 250 MB to download, 750 MB on disk." ;; esac
services=
for service in mosquitto nats-server prometheus; do
  case "$missing " in *" $service "*) services="$services $service" ;; esac
done
[ -z "$services" ] || echo "Services among them, neither started nor enabled:$services"
[ -z "$sudo" ] || echo "Installing them by sudo, which may ask for your password."

# Debian's own switch for "start nothing"; one that is there already is the machine's owner's, and stays.
policy=/usr/sbin/policy-rc.d
made=
give_back() {
  [ -z "$made" ] || $sudo rm -f "$policy"
}
trap give_back EXIT
trap 'exit 130' INT TERM
if [ -n "$services" ] && [ ! -e "$policy" ]; then
  made=1
  printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
  $sudo chmod 0755 "$policy"
fi
$sudo apt-get update -qq
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
if [ -n "$services" ] && [ -d /run/systemd/system ]; then
  $sudo systemctl disable --quiet $services
fi
