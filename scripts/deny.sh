#!/bin/sh
# Checks the licences and sources of all dependencies against deny.toml, and for known holes where the advisory database
# is here (cargo deny fetch).
set -eu
cd "$(dirname "$0")/.."
if ! cargo deny --version >/dev/null 2>&1; then
  echo "SKIPPED: cargo-deny is not installed (cargo install --locked cargo-deny), so deny.toml was not checked"
  exit 0
fi
cargo deny --locked --all-features check licenses bans sources
if [ -n "$(ls "${CARGO_HOME:-$HOME/.cargo}/advisory-dbs" 2>/dev/null)" ]; then
  cargo deny --locked --offline --all-features check advisories
else
  echo "SKIPPED: no advisory database (cargo deny fetch), so known holes were not looked for"
fi
