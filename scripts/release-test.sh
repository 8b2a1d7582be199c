#!/bin/sh
# Starts what `make release` has made, on each system that it is for: package and tarball on Debian 12 and 13 and Ubuntu 22.04 and
# 24.04; the image as skopeo reads it; the programs for arm64 and armhf under qemu with Debian 12's libraries, which are those of
# Raspberry Pi OS. Each decodes the street.
set -eu
cd "$(dirname "$0")/.."
. scripts/debian-root.sh
. packaging/project.sh
need qemu-aarch64:qemu-user skopeo:skopeo
out=$PWD/target/release-$version
street=testdata/street/street_912.600155M_2359.296k.cu8
work=$(mktemp -d /var/tmp/metertap-release.XXXXXX)
trap 'as_root rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
(cd "$out" && sha256sum --check --quiet SHA256SUMS)
cp "$street" "$work/street_912.600155M_2359.296k.cu8"
in_root_decode() {
  in_root "$1" "$2" replay /tmp/street_912.600155M_2359.296k.cu8 --format json 2>/dev/null | wc -l
}
expected=
same() {
  expected=${expected:-$2}
  [ "$2" -gt 15 ] && [ "$2" = "$expected" ] || { echo "$1: $2 messages, expected ${expected}" >&2; exit 1; }
  echo "$1: $2 messages"
}

ubuntu=http://archive.ubuntu.com/ubuntu
for system in "bookworm Debian 12" "trixie Debian 13" "jammy Ubuntu 22.04 $ubuntu" "noble Ubuntu 24.04 $ubuntu"; do
  # shellcheck disable=SC2086 # words
  set -- $system
  base=/var/tmp/metertap-start-$1
  suite=$1 mirror=${4:-} debian_root "$base"
  root=$work/root
  as_root rm -rf "$root"
  as_root cp -a "$base" "$root"
  as_root cp "$work/street_912.600155M_2359.296k.cu8" "$out/metertap_${version}_amd64.deb" "$root/tmp/"
  in_root "$root" apt-get update -qq
  in_root "$root" apt-get install -y -qq --no-install-recommends "/tmp/metertap_${version}_amd64.deb" >"$work/apt.log" 2>&1 \
    || { cat "$work/apt.log"; exit 1; }
  grep -q "metertap is installed, and not started yet" "$work/apt.log"
  [ "$(in_root "$root" metertap --version)" = "metertap $version" ]
  in_root "$root" metertap check --config /etc/metertap/metertap.toml >/dev/null
  same "$2 $3, package" "$(in_root_decode "$root" metertap)"
  # Every link between documents of the package leads somewhere.
  doc=$root/usr/share/doc/metertap
  for page in $(cd "$doc" && find . -name '*.md'); do
    grep -o '](\([^)#:]*\)[)#]' "$doc/$page" | sed 's/^](//; s/[)#]$//' | grep -v '^$' | while read -r link; do
      [ -e "$doc/$(dirname "$page")/$link" ] || echo "$page: $link"
    done
  done | grep -v 'testdata/' >"$work/broken" || true
  [ ! -s "$work/broken" ] || { echo "links that lead nowhere:"; cat "$work/broken"; exit 1; }
  in_root "$root" apt-get purge -y -qq metertap >/dev/null 2>&1
  name=metertap-$version-x86_64-unknown-linux-gnu
  as_root tar -xzf "$out/$name.tar.gz" -C "$root/opt"
  same "$2 $3, tarball" "$(in_root_decode "$root" "/opt/$name/bin/metertap")"
done

echo "── image"
skopeo inspect --raw "oci-archive:$out/metertap-$version-oci.tar" | grep -o '"architecture":"[a-z0-9]*"'
skopeo copy --quiet --all "oci-archive:$out/metertap-$version-oci.tar" "dir:$work/image"
for arch in amd64 arm64 arm; do
  rootfs=$work/image-$arch
  mkdir -p "$rootfs" "$work/one"
  skopeo --override-arch "$arch" copy --quiet "oci-archive:$out/metertap-$version-oci.tar" "dir:$work/one/$arch"
  layer=$(sed 's/.*"layers":\[{[^}]*"digest":"sha256:\([0-9a-f]*\)".*/\1/' "$work/one/$arch/manifest.json")
  as_root tar -xzf "$work/one/$arch/$layer" -C "$rootfs"
  as_root cp "$work/street_912.600155M_2359.296k.cu8" "$rootfs/tmp/"
  case $arch in
    amd64) messages=$(in_root_decode "$rootfs" /usr/bin/metertap) ;;
    arm64) messages=$(qemu-aarch64 -L "$rootfs" "$rootfs/usr/bin/metertap" replay "$street" --format json 2>/dev/null | wc -l) ;;
    arm) messages=$(qemu-arm -L "$rootfs" "$rootfs/usr/bin/metertap" replay "$street" --format json 2>/dev/null | wc -l) ;;
  esac
  same "image, $arch ($(as_root du -sm --apparent-size "$rootfs" | cut -f1) MB)" "$messages"
  # Packages and tarballs hold the same program as the image.
  case $arch in
    amd64) debian=amd64 target=x86_64-unknown-linux-gnu ;;
    arm64) debian=arm64 target=aarch64-unknown-linux-gnu ;;
    arm) debian=armhf target=armv7-unknown-linux-gnueabihf ;;
  esac
  dpkg-deb --fsys-tarfile "$out/metertap_${version}_$debian.deb" | tar -xO ./usr/bin/metertap | cmp - "$rootfs/usr/bin/metertap"
  tar -xzOf "$out/metertap-$version-$target.tar.gz" "metertap-$version-$target/bin/metertap" | cmp - "$rootfs/usr/bin/metertap"
done
echo "ok"
