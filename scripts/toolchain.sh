#!/bin/sh
# Checks that what a build needs is here, and says how to get what is missing: cargo, a rustc no older than
# `rust-version` in Cargo.toml, a C compiler, and the named parts of Rust (rustfmt, clippy). With CI=true it installs the
# parts that are missing.
set -eu
cd "$(dirname "$0")/.."
msrv=$(scripts/msrv.sh)

found=$(rustc --version 2>/dev/null | cut -d' ' -f2 || true)
if ! command -v cargo >/dev/null || [ -z "$found" ]; then
  echo "missing: cargo and rustc $msrv or newer. Debian 13 and newer: apt install cargo; elsewhere: https://rustup.rs" >&2
  exit 1
fi
if [ "$(printf '%s\n' "$msrv" "$found" | sort -V | head -n 1)" != "$msrv" ]; then
  echo "rustc $found is too old: expected $msrv or newer. Debian 13 and newer have one; elsewhere: https://rustup.rs" >&2
  exit 1
fi
if ! command -v cc >/dev/null; then
  echo "missing: a C compiler. Debian: apt install gcc libc6-dev" >&2
  exit 1
fi

for part in "$@"; do
  case $part in
    rustfmt) command="cargo fmt" package=rustfmt ;;
    clippy) command="cargo clippy" package=rust-clippy ;;
    *) echo "unknown part of Rust: $part" >&2; exit 2 ;;
  esac
  $command --version >/dev/null 2>&1 && continue
  # Debian's cargo takes Debian's packages, rustup's cargo rustup's components.
  case $(command -v cargo) in
    /usr/bin/*) remedy="apt-get install -y --no-install-recommends $package" ;;
    *) remedy="rustup component add $part" ;;
  esac
  case $(id -u):$remedy in
    0:* | *:rustup*) ;;
    *) remedy="sudo $remedy" ;;
  esac
  if [ "${CI:-}" != true ]; then
    echo "missing: \`$command\`. To get it: $remedy" >&2
    exit 1
  fi
  echo "installing $part: $remedy"
  case $remedy in
    *apt-get*)
      ${remedy%%apt-get*}apt-get update -qq
      ${remedy%%apt-get*}env DEBIAN_FRONTEND=noninteractive apt-get${remedy#*apt-get} >/dev/null
      ;;
    *) $remedy ;;
  esac
done
