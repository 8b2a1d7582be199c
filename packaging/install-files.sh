#!/bin/sh
# Lays out everything that is installed: install-files.sh PROGRAM GENERATOR TREE PREFIX. TREE becomes PREFIX (/usr or /usr/local).
# GENERATOR is a metertap that runs on this machine; it writes the manual pages and completions.
set -eu
cd "$(dirname "$0")/.."
program=$1 generator=$2 tree=$3 prefix=$4
install -D -m 0755 "$program" "$tree/bin/metertap"
mkdir -p "$tree/lib/systemd/system"
sed "s|/usr/bin/|$prefix/bin/|" packaging/metertap.service >"$tree/lib/systemd/system/metertap.service"
chmod 0644 "$tree/lib/systemd/system/metertap.service"
install -D -m 0644 packaging/60-metertap.rules "$tree/lib/udev/rules.d/60-metertap.rules"
install -D -m 0644 packaging/modprobe.conf "$tree/lib/modprobe.d/metertap.conf"

# The documents with the files that they link to, in the folders that they expect.
doc=$tree/share/doc/metertap
install -D -m 0644 packaging/metertap.toml "$doc/examples/metertap.toml"
for file in README.md CONTRIBUTING.md SECURITY.md LICENSE $(git ls-files docs packaging docker scripts/sensitivity.gp \
  | grep -v -e '^docker/.*\.sh$' -e '^packaging/.*\.sh$' -e '^packaging/deb/'); do
  install -D -m 0644 "$file" "$doc/$file"
done
rm -rf "$doc/scripts"
gzip -9n <CHANGELOG.md >"$doc/changelog.gz"
# Name, version and license of every crate in the program.
cargo tree --locked --edges normal --prefix none --format '{p}	{l}' \
  | sed "s|($PWD[^)]*)||; s/ (\*)//" | sort -u >"$doc/licences.tsv"

pages=$tree/share/man
mkdir -p "$pages/man1" "$pages/man5"
"$generator" manual "$pages/man1"
mv "$pages"/man1/*.5 "$pages/man5/"
gzip -9n "$pages"/man1/*.1 "$pages"/man5/*.5
for shell in bash:share/bash-completion/completions/metertap zsh:share/zsh/vendor-completions/_metertap \
  fish:share/fish/vendor_completions.d/metertap.fish; do
  mkdir -p "$(dirname "$tree/${shell#*:}")"
  "$generator" completions "${shell%%:*}" >"$tree/${shell#*:}"
done
