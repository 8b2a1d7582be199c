#!/bin/sh
# Everything that a release consists of, in target/release-<version>: packages, tarballs and the image for amd64, arm64 and armhf,
# SBOM, licenses, the section of the changelog, checksums. Needs root (a Debian 12 of its own in /var/tmp, for its old C library)
# and a Rust of rustup, whose standard libraries for the other architectures it adds. The same commit, with the same Rust, gives the
# same files.
set -eu
cd "$(dirname "$0")/.."
. scripts/release-env.sh
. scripts/debian-root.sh
. packaging/project.sh
need xz:xz-utils
section=$(sed -n "/^## \[$version\]/,/^## \[/p" CHANGELOG.md | sed '$d')
[ -n "$section" ] || { echo "CHANGELOG.md has no section [$version]" >&2; exit 1; }
[ -z "$(git status --porcelain)" ] || echo "warning: there are changes that are not committed"

targets="x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu armv7-unknown-linux-gnueabihf"
sysroot=$(rustc --print sysroot)
for target in $targets; do
  [ -d "$sysroot/lib/rustlib/$target" ] || rustup target add "$target"
done
root=${METERTAP_RELEASE_ROOT:-/var/tmp/metertap-debian12}
suite=bookworm debian_root "$root"
in_root "$root" sh -c 'dpkg --add-architecture arm64; dpkg --add-architecture armhf'
suite=bookworm debian_root "$root" gcc libc6-dev ca-certificates gcc-aarch64-linux-gnu gcc-arm-linux-gnueabihf \
  libc6-dev-arm64-cross libc6-dev-armhf-cross

# In folders whose names are always the same. Crates are downloaded outside.
in_root "$root" sh -c 'rm -rf /metertap; mkdir -p /metertap /metertap-target /cargo/registry /rust'
git ls-files -z | tar --null -c -T - | as_root tar -x --no-same-owner -C "$root/metertap"
mkdir -p "$CARGO_HOME/registry"
cargo fetch --locked --quiet
as_root mount --bind "$CARGO_HOME/registry" "$root/cargo/registry"
as_root mount --bind -o ro "$sysroot" "$root/rust"
as_root mount -t proc proc "$root/proc"
trap 'as_root umount "$root/cargo/registry" "$root/rust" "$root/proc"' EXIT
trap 'exit 130' INT TERM

out=$PWD/target/release-$version
rm -rf "$out"
mkdir -p "$out"
images=
for target in $targets; do
  describe_target "$target"
  echo "── $arch"
  case $arch in
    amd64) cc=gcc ;;
    arm64) cc=aarch64-linux-gnu-gcc ;;
    armhf) cc=arm-linux-gnueabihf-gcc ;;
  esac
  in_root "$root" env PATH=/rust/bin:/usr/bin:/bin CARGO_HOME=/cargo CARGO_TARGET_DIR=/metertap-target CARGO_INCREMENTAL=0 CARGO_NET_OFFLINE=true \
    CARGO_PROFILE_RELEASE_DEBUG=0 CARGO_PROFILE_RELEASE_STRIP=symbols SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH" \
    "CARGO_TARGET_$(echo "$target" | tr a-z- A-Z_)_LINKER=$cc" "CC_$(echo "$target" | tr - _)=$cc" \
    sh -c "cd /metertap && ${NICE:-} cargo build --quiet --release --locked --target $target"
  program=$root/metertap-target/$target/release/metertap
  generator=${generator:-$program}
  # The newest version of the C library that any of its symbols asks for.
  libc=$(in_root "$root" "${cc%gcc}objdump" -T "/metertap-target/$target/release/metertap" \
    | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -1 | cut -d_ -f2)
  echo "needs glibc $libc"
  TARGET=$target PROGRAM=$program GENERATOR=$generator LIBC=$libc OUT=$out packaging/build-deb.sh
  TARGET=$target PROGRAM=$program GENERATOR=$generator OUT=$out packaging/build-tarball.sh

  # The image: the program, and the few packages that it and librtlsdr need. No shell, no package manager.
  rootfs=$root/metertap-image/$arch
  in_root "$root" sh -c "rm -rf /metertap-image/$arch && mkdir -p /metertap-image/$arch/packages && cd /metertap-image/$arch/packages &&
    apt-get download -qq libc6:$arch libgcc-s1:$arch librtlsdr0:$arch libusb-1.0-0:$arch libudev1:$arch &&
    for package in *.deb; do dpkg-deb --extract \$package ..; done && cd .. && rm -rf packages usr/share/man usr/share/lintian etc lib/udev usr/lib/udev &&
    find usr/share/doc -type f ! -name copyright -delete && find usr/share/doc -type l -delete && find usr/share -type d -empty -delete"
  as_root install -D -m 0755 "$program" "$rootfs/usr/bin/metertap"
  as_root install -D -m 0644 docker/metertap.toml "$rootfs/etc/metertap/metertap.toml"
  as_root install -D -m 0644 "$root/etc/ssl/certs/ca-certificates.crt" "$rootfs/etc/ssl/certs/ca-certificates.crt"
  as_root install -D -m 0644 LICENSE "$rootfs/usr/share/doc/metertap/copyright"
  as_root install -d -m 0755 "$rootfs/var/lib/metertap" "$rootfs/run" "$rootfs/tmp" "$rootfs/proc" "$rootfs/dev" "$rootfs/sys"
  as_root sh -c "echo 'metertap:x:65532:65532::/var/lib/metertap:/usr/sbin/nologin' >'$rootfs/etc/passwd'
    echo 'metertap:x:65532:' >'$rootfs/etc/group'; echo 'hosts: files dns' >'$rootfs/etc/nsswitch.conf'"
  images="$images $target=$rootfs"
done
echo "── image, SBOM, licenses, changelog, checksums"
# shellcheck disable=SC2086 # a list
OUT=$out packaging/build-image.sh $images
scripts/sbom.sh
cp target/sbom/metertap.cdx.json "$out/metertap-$version.cdx.json"
cp LICENSE "$out/"
tar -xzOf "$out/metertap-$version-x86_64-unknown-linux-gnu.tar.gz" --wildcards '*/licences.tsv' >"$out/licences.tsv"
printf '%s\n' "$section" >"$out/CHANGELOG-$version.md"
(cd "$out" && sha256sum -- * >../SHA256SUMS && mv ../SHA256SUMS .)
rustc --version
ls -l "$out"
echo "To publish: git tag -a v$version -m 'metertap $version', and attach the files of $out"
