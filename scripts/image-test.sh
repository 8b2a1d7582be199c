#!/bin/sh
# Builds the image of docker/Dockerfile on a base made by debootstrap, with buildah: no registry, no daemon. Then runs it as a
# container: the street, to a broker outside.
set -eu
cd "$(dirname "$0")/.."
. scripts/debian-root.sh
need buildah:buildah runc:runc mosquitto:mosquitto mosquitto_sub:mosquitto-clients jq:jq
base=${METERTAP_ROOT:-/var/tmp/metertap-debian13}-base
debian_root "$base"
work=$(mktemp -d /var/tmp/metertap-image.XXXXXX)
store="--storage-driver vfs --root $work/images --runroot $work/run"
pids=
give_back() {
  [ -z "$pids" ] || kill $pids 2>/dev/null || true
  as_root runc delete --force metertap-test 2>/dev/null || true
  as_root buildah $store rm --all >/dev/null 2>&1 || true
  as_root rm -rf "$work"
}
trap give_back EXIT

echo "── base: $(as_root du -sm "$base" | cut -f1) MB"
container=$(as_root buildah $store from scratch)
as_root buildah $store copy --quiet "$container" "$base" / >/dev/null
as_root buildah $store commit --quiet --rm "$container" localhost/debian13 >/dev/null

echo "── image"
# Crates that this machine has downloaded already are not downloaded again.
crates=${CARGO_HOME:-$HOME/.cargo}/registry
mkdir -p "$crates"
as_root buildah $store bud --isolation chroot --quiet --volume "$crates:/root/.cargo/registry" \
  --build-arg BUILD_BASE=localhost/debian13 --build-arg RUN_BASE=localhost/debian13 \
  --file docker/Dockerfile --tag localhost/metertap . >/dev/null
container=$(as_root buildah $store from localhost/metertap)
rootfs=$(as_root buildah $store mount "$container")
mb() {
  as_root du -sm --apparent-size "$1" | cut -f1
}
beyond=$(($(mb "$rootfs") - $(mb "$base")))
echo "$beyond MB beyond its base"
[ "$beyond" -lt 60 ]
config() {
  as_root buildah $store inspect --format "{{.OCIv1.Config.$1}}" "$container"
}
[ "$(config User)" = 65532:65532 ]

echo "── container"
port=18831
printf 'listener %s 127.0.0.1\nallow_anonymous true\n' "$port" >"$work/mosquitto.conf"
"$(command -v mosquitto || echo /usr/sbin/mosquitto)" -c "$work/mosquitto.conf" >"$work/broker.log" 2>&1 &
pids=$!
sleep 1
mosquitto_sub -p "$port" -v -t 'readings/#' >"$work/heard" &
pids="$pids $!"
# The dongle is a recording here; everything else comes from the image and the environment.
sed 's|^source = "rtlsdr"|source = "/usr/share/metertap/street_912.600155M_2359.296k.cu8"|; s|^gain = .*||; s|0.0.0.0:8080|127.0.0.1:18832|' \
  docker/metertap.toml >"$work/metertap.toml"
# It stays when the street is over: a wire that nobody answers on.
printf '[[wire]]\nname = "hall"\nprotocol = "p1"\nsource = "tcp://127.0.0.1:9"\n' >>"$work/metertap.toml"
chmod 0644 "$work/metertap.toml"
mkdir -p "$work/bundle"
(cd "$work/bundle" && runc spec)
jq --arg rootfs "$rootfs" --arg config "$work/metertap.toml" --arg port "$port" '
  .root = { path: $rootfs, readonly: true }
  | .process.terminal = false
  | .process.user = { uid: 65532, gid: 65532 }
  | .process.args = ["/usr/bin/metertap", "run"]
  | .process.cwd = "/var/lib/metertap"
  | .process.capabilities = { bounding: [], effective: [], permitted: [] }
  | .process.noNewPrivileges = true
  | .process.env += ["METERTAP_CONFIG=/etc/metertap/metertap.toml", "METERTAP_MQTT__HOST=127.0.0.1", "METERTAP_MQTT__PORT=" + $port]
  | .mounts += [
      { destination: "/etc/metertap/metertap.toml", source: $config, type: "bind", options: ["bind", "ro"] },
      { destination: "/var/lib/metertap", type: "tmpfs", source: "tmpfs", options: ["uid=65532", "gid=65532", "mode=0700"] }
    ]
  | .linux.namespaces |= map(select(.type != "network" and .type != "cgroup"))
  | del(.linux.resources)' "$work/bundle/config.json" >"$work/config.json"
mv "$work/config.json" "$work/bundle/config.json"
begun=$(date +%s%N)
as_root runc run --bundle "$work/bundle" metertap-test >"$work/log" 2>&1 &
runner=$!
for _ in $(seq 100); do
  [ ! -s "$work/heard" ] || ! grep -q '/scm' "$work/heard" || break
  sleep 0.05
done
echo "first reading after $((($(date +%s%N) - begun) / 1000000)) ms, with the broker's connection"
sleep 2
inside() {
  as_root runc exec metertap-test "$@"
}
echo "user: $(inside id -u):$(inside id -g)"
[ "$(inside id -u)" = 65532 ]
! inside touch /usr/bin/written 2>/dev/null
inside touch /var/lib/metertap/written
# It is well; but nobody answers on the wire: that is no reason to restart it.
inside /usr/bin/metertap health
! inside /usr/bin/metertap health --ready >"$work/health"
grep -q '^hall: ' "$work/health"
heard=$(grep -c '"Message"' "$work/heard" || true)
echo "$heard readings outside"
[ "$heard" -gt 15 ]
as_root runc kill metertap-test TERM
code=0
wait "$runner" || code=$?
echo "stopped with $code"
[ "$code" = 0 ] || { cat "$work/log"; exit 1; }
grep -q 'offline' "$work/heard"
echo "ok"
