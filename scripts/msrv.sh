#!/bin/sh
# Prints the oldest compiler that must build everything: `rust-version` of the workspace, the only place that states it.
set -eu
sed -n 's/^rust-version = "\([0-9.]*\)"$/\1/p' "$(dirname "$0")/../Cargo.toml"
