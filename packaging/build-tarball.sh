#!/bin/sh
# $OUT/metertap-<version>-<target>.tar.gz: runs where it is unpacked, and installs with tar --strip-components=1 -C /usr/local.
set -eu
cd "$(dirname "$0")/.."
. scripts/release-env.sh
. packaging/project.sh
describe_target "$TARGET"
name=metertap-$version-$TARGET
work=target/release-tarball
rm -rf "$work"
mkdir -p "$work"
packaging/install-files.sh "$PROGRAM" "$GENERATOR" "$work/$name" /usr/local
normalize "$work"
reproducible_tar "$work" "$name" | gzip -9n >"$OUT/$name.tar.gz"
rm -rf "$work"
