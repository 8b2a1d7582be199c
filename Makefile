# The two commands: `make demo` and `make test`. Both install what they need on a fresh Debian machine.

SUDO := $(shell [ "$$(id -u)" = 0 ] || command -v sudo)
CARGO ?= cargo

.PHONY: demo test bench check fmt testdata sensitivity screenshots packages \
	deb deb-test image-test cross-test reproducible sbom

## The main job, live, with no dongle and no broker.
demo:
	$(CARGO) run --release --quiet --features demo -- demo

## Everything, against a real broker.
test: packages
	$(CARGO) test --workspace --features demo

## Format and lint.
check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --features demo -- -D warnings

## Speed of the receiver's stages, and cost of a telegram.
bench:
	$(CARGO) bench --bench receiver --bench wire

## How deep it hears: tables and docs/sensitivity.png, in some minutes.
sensitivity:
	@command -v gnuplot >/dev/null || { \
	  echo "installing gnuplot (for the plot)"; \
	  $(SUDO) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq gnuplot-nox; }
	$(CARGO) bench --bench sensitivity -- tsv=$(CURDIR)/docs/sensitivity.tsv
	gnuplot -e "folder='docs'" scripts/sensitivity.gp

## The pictures of the page in docs/.
screenshots: packages
	$(CARGO) test --features demo --test it -- --ignored page::pictures

testdata:
	scripts/testdata.sh

## The Debian package, in target/debian.
deb:
	packaging/build-deb.sh

## Installed, run, upgraded and removed in a Debian 13 of its own.
deb-test:
	scripts/deb-test.sh

## docker/Dockerfile built and run, with no registry and no daemon.
image-test:
	scripts/image-test.sh

## arm64 and armhf, by Debian 13's compiler and under qemu.
cross-test:
	scripts/cross-test.sh

## Built twice in different folders: the same bytes.
reproducible:
	scripts/reproducible.sh

## What is in the program, as CycloneDX.
sbom:
	scripts/sbom.sh

packages:
	@[ -x /usr/sbin/mosquitto ] && [ -x /usr/sbin/nats-server ] && [ -x /usr/sbin/iptables ] && \
	  for tool in mosquitto_sub socat openssl ip unshare tmux chromium chromedriver; do command -v $$tool >/dev/null || exit 1; done || { \
	  echo "installing mosquitto, nats-server, socat, openssl, iptables, tmux, chromium (for the tests)"; \
	  $(SUDO) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq \
	    mosquitto mosquitto-clients nats-server socat openssl iptables iproute2 util-linux tmux \
	    chromium chromium-driver; }
