#!/bin/sh
# Checks every crate, feature and target with the oldest supported compiler: Debian 13's own rustc and cargo, in a Debian
# 13 of its own. The first run makes that root (1.2 GB in /var/tmp) and needs root or sudo; later runs reuse it and what
# was compiled. Where rustc itself is that old, no root is needed.
set -eu
cd "$(dirname "$0")/.."
msrv=$(scripts/msrv.sh)
check="check --locked --workspace --all-features --all-targets"

case $(rustc --version) in
  "rustc $msrv."*)
    echo "── rustc $msrv: this machine's own"
    CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/msrv cargo $check
    exit
    ;;
esac

. scripts/debian-root.sh
root=${METERTAP_ROOT:-/var/tmp/metertap-debian13}-msrv
debian_root "$root" cargo rustc gcc libc6-dev
case $(in_root "$root" rustc --version) in
  "rustc $msrv."*) ;;
  *) echo "Debian 13 has $(in_root "$root" rustc --version), and Cargo.toml says $msrv" >&2; exit 1 ;;
esac
# Downloaded here, where certificates and proxies are set up.
cargo fetch --locked --quiet --target "$(rustc -vV | sed -n 's/^host: //p')"
crates=${CARGO_HOME:-$HOME/.cargo}/registry
# In a folder of the same name there; built files outlive the sources.
in_root "$root" sh -c "rm -rf '$PWD'; mkdir -p '$PWD' /msrv-target /root/.cargo/registry"
git ls-files -z | tar --null -c -T - | as_root tar -x --no-same-owner -C "$root$PWD"
as_root mount --bind "$crates" "$root/root/.cargo/registry"
trap 'as_root umount "$root/root/.cargo/registry"' EXIT
trap 'exit 130' INT TERM
echo "── rustc $msrv: Debian 13's"
in_root "$root" env CARGO_TARGET_DIR=/msrv-target CARGO_NET_OFFLINE=true CARGO_INCREMENTAL=0 \
  CARGO_PROFILE_DEV_DEBUG=0 sh -c "cd '$PWD' && cargo $check --quiet"
echo "ok"
