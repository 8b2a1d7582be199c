#!/bin/sh
# Builds what is committed twice, in two folders: the same bytes.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d /var/tmp/metertap-reproducible.XXXXXX)
trap 'rm -rf "$work"' EXIT
for folder in one another/deeper; do
  git clone --quiet . "$work/$folder"
  (cd "$work/$folder" && . scripts/release-env.sh && cargo build --release --locked --quiet)
  sha256sum "$work/$folder/target/release/metertap"
done
cmp "$work/one/target/release/metertap" "$work/another/deeper/target/release/metertap"
echo "the same bytes"
