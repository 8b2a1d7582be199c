#!/bin/sh
# target/sbom/metertap.cdx.json: every package in the program, with version, licence and checksum.
set -eu
cd "$(dirname "$0")/.."
command -v cargo-cyclonedx >/dev/null || [ -x target/tools/bin/cargo-cyclonedx ] || {
  echo "installing cargo-cyclonedx into target/tools"
  cargo install --quiet --locked --root target/tools cargo-cyclonedx
}
PATH=$PWD/target/tools/bin:$PATH
cargo cyclonedx --format json --no-build-deps --override-filename metertap.cdx
mkdir -p target/sbom
mv metertap.cdx.json target/sbom/
rm -f dsp/metertap.cdx.json tests/fake-librtlsdr/metertap.cdx.json tests/needs/metertap.cdx.json
echo "target/sbom/metertap.cdx.json: $(grep -c '"purl"' target/sbom/metertap.cdx.json) packages"
