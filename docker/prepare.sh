#!/bin/sh
# Installs what a build for architecture $1 needs (Docker's names: amd64, arm64, arm).
set -eu
case "$1" in
  amd64) debian=amd64 tools= ;;
  arm64) debian=arm64 tools="gcc-aarch64-linux-gnu libc6-dev-arm64-cross" ;;
  arm) debian=armhf tools="gcc-arm-linux-gnueabihf libc6-dev-armhf-cross" ;;
  *) echo "unknown architecture $1: expected amd64, arm64 or arm" >&2; exit 1 ;;
esac
dpkg --add-architecture "$debian"
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
  cargo rustc gcc libc6-dev ca-certificates "libstd-rust-dev:$debian" $tools
# librtlsdr, and its dependencies that are not in the base.
mkdir -p /packages
cd /packages
apt-get download -qq "librtlsdr0:$debian" "libusb-1.0-0:$debian"
