#!/bin/sh
# Brings axe-core to target/axe-core, for the test of the page's accessibility: a tool for development under the MPL-2.0, not part
# of the program. By npm where that is installed, otherwise by curl or wget; either way only with the sum below. Without a network
# the test is skipped, visibly.
set -eu
cd "$(dirname "$0")/.."
version=4.14.1
sum=1477dafa598d8d065f273d6af302aa203c02e83131707b7fa648cd41bd3d6b734f8c22a0dab86ee6a6f64b8afbe804b214d36db85a2826965edfb3a0b9d546b5
registry=${AXE_REGISTRY:-https://registry.npmjs.org}
folder=target/axe-core
file=axe-core-$version.tgz

[ ! -f "$folder/$version" ] || exit 0
mkdir -p "$folder"
cd "$folder"
if command -v npm >/dev/null; then
  npm pack --silent --registry "$registry" "axe-core@$version" >/dev/null || true
elif command -v curl >/dev/null; then
  curl -fsSLo "$file" "$registry/axe-core/-/$file" || true
elif command -v wget >/dev/null; then
  wget -qO "$file" "$registry/axe-core/-/$file" || true
fi
if [ ! -s "$file" ]; then
  rm -f "$file"
  echo "SKIPPED: axe-core $version cannot be had (needs npm, curl or wget, and $registry), so the page's accessibility is not tested"
  exit 0
fi
if ! echo "$sum  $file" | sha512sum -c --quiet -; then
  rm -f "$file"
  echo "$file has another sum than that in scripts/axe.sh" >&2
  exit 1
fi
rm -rf package
tar xf "$file" package/axe.min.js package/LICENSE
rm "$file"
touch "$version"
