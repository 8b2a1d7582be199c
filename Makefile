# The two commands: `make demo` and `make test`. Both say what a fresh Debian machine lacks; the second installs it.

SUDO := $(shell [ "$$(id -u)" = 0 ] || command -v sudo)
CARGO ?= cargo

.PHONY: demo test soak bench check fmt testdata sensitivity screenshots packages toolchain \
	release release-test first-minutes-test deb deb-test image-test homeassistant-test cross-test reproducible sbom axe page-speed

## The main job, live, with no dongle and no broker.
demo: toolchain
	@[ -d "$${CARGO_TARGET_DIR:-target}/demo" ] || echo "Building the demo, once: 240 crates, 25 MB to download, some 6 CPU minutes (3 minutes on two cores). A simulated street of 20 s follows."
	$(CARGO) run --profile demo --no-default-features --features demo -- demo

## Everything, against a real broker. Debian keeps some of what it talks to out of an ordinary user's PATH.
test: export PATH := $(PATH):/usr/sbin:/sbin
test: toolchain packages axe
	$(CARGO) test --workspace --features demo

## Format and lint.
check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --features demo -- -D warnings
	$(CARGO) check --no-default-features --features demo   # as `make demo` builds it
	$(CARGO) check -p metertap-dsp   # without its modulator

## Speed of the receiver's stages, and cost of a telegram.
bench:
	$(CARGO) bench --bench receiver --bench wire

## An hour of faults: kills, outages, a day without a broker. Rewrites the table in docs/delivery.md. MINUTES: of the last part.
soak: export PATH := $(PATH):/usr/sbin:/sbin
soak: MINUTES ?= 30
soak: toolchain packages
	$(CARGO) build --release
	CARGO="$(CARGO)" scripts/soak/soak.py --write --minutes $(MINUTES)

## How deep it hears: tables and docs/sensitivity.png, in some minutes.
sensitivity:
	@command -v gnuplot >/dev/null || { \
	  echo "installing gnuplot (for the plot)"; \
	  $(SUDO) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq gnuplot-nox; }
	$(CARGO) bench --bench sensitivity -- tsv=$(CURDIR)/docs/sensitivity.tsv
	gnuplot -e "folder='docs'" scripts/sensitivity.gp
	gnuplot -e "folder='docs'" scripts/sensitivity-wmbus.gp

## axe-core, for the test of the page's accessibility: a tool for development, not part of the program.
axe:
	@scripts/axe.sh

## The pictures of the page in docs/.
screenshots: packages
	$(CARGO) test --features demo --test it -- --ignored page_pictures

## First paint and long tasks of the page in Chromium, with ten years of 20 meters.
page-speed: packages
	$(CARGO) test --features demo --test it -- --ignored --nocapture page_speed

testdata:
	scripts/testdata.sh

## All that a release consists of, in target/release-<version>: packages, tarballs and image for three architectures.
release:
	packaging/release.sh

## The release, started on Debian 12 and 13, Ubuntu 22.04 and 24.04, and for ARM under qemu.
release-test:
	scripts/release-test.sh

## Three new users, from the package to their first reading: prints the seconds and the number of answers.
first-minutes-test:
	scripts/first-minutes.sh

## The Debian package, in target/debian.
deb:
	packaging/build-deb.sh

## Installed, run, upgraded and removed in a Debian 13 of its own.
deb-test:
	scripts/deb-test.sh

## docker/Dockerfile built and run, with no registry and no daemon.
image-test:
	scripts/image-test.sh

## What Home Assistant makes of it: half an hour the first time, a quarter then.
homeassistant-test:
	scripts/homeassistant-test.sh

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
	@scripts/test-packages.sh

toolchain:
	@scripts/toolchain.sh
