#!/bin/sh
# target/addon/metertap: the add-on for Home Assistant with all that it is built of, to be copied into its /addons folder.
set -eu
cd "$(dirname "$0")/.."
version=$(cargo metadata --no-deps --format-version 1 | sed 's/.*"name":"metertap","version":"\([^"]*\)".*/\1/')
folder=target/addon/metertap
rm -rf "$folder"
mkdir -p "$folder"
git ls-files -z | grep -zv '^docs/.*\.png$' | tar --null -c -T - | tar -x -C "$folder"
sed "s/@VERSION@/$version/" packaging/homeassistant/config.yaml >"$folder/config.yaml"
cp packaging/homeassistant/DOCS.md "$folder/"
# The Supervisor gives its options to root, and names the architecture in its own words.
sed -e 's/^USER .*/USER 0:0/' -e 's/^CMD .*//' -e 's|^ENTRYPOINT .*|ENTRYPOINT ["/usr/bin/metertap", "addon"]|' \
  -e '/^HEALTHCHECK/d' docker/Dockerfile >"$folder/Dockerfile"
echo "$folder: copy it to /addons on Home Assistant, and reload the add-on store"
