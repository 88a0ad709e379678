# The one entry for people. `make` alone says what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo chain test check doc bench accuracy backlog idle soak rtsp deb deb-check deb-repro device minimal-debian \
  arm packages tarballs device-arm64 fuzz jpeg counts crash crash-bugs machine

help: ## what can be made
	@echo 'Vedette, the sensor agent on a smart camera'
	@echo
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo 'Options for the demo: make demo DEMO="--for 1m --device /dev/video0"'

demo: ## build, and watch Vedette do its job on a synthetic street
	@tools/setup demo
	@cargo run --locked --profile demo --bin vedette -- demo $(DEMO)

chain: ## command a picture over MQTT, store it, let a function work on it: all on this machine
	@tools/setup test
	@cargo build --locked --bin vedette
	@examples/chain/run

test: ## run every test, against real servers that the tests start themselves
	@tools/setup test
	@tools/run-tests $(TESTS)

check: ## what a change must pass besides the tests: format, lints, licences, unit, scripts
	@tools/check

doc: ## the library's documentation, with private items
	cargo doc --locked --no-deps --document-private-items

bench: ## the figures of docs/benchmarks.md, each beside its peer in the same run
	@tools/setup bench
	@echo '## First pass'; cargo bench --locked --quiet --bench firstpass
	@echo; echo '## Pictures'; cargo bench --locked --quiet --bench pictures
	@echo; echo '## Beside motion and OpenCV'; benches/peers/run
	@echo; echo '## Upload beside s5cmd'; benches/put/run
	@echo; echo '## Spool'; echo; benches/spool/run
	@echo; echo '## Binary and start'; benches/start/run

accuracy: ## docs/accuracy.md's tables and curves: clips with ground truth, beside motion and OpenCV; half an hour and more
	@tools/setup accuracy
	@benches/accuracy/run $(ACCURACY)

backlog: ## a million pictures in the spool: claims, starts, a rebuild, draining, `vedette spool`; BACKLOG="--pictures 20000"
	@benches/backlog/run $(BACKLOG)

idle: ## an hour of nothing to do, as root: what reaches the disk; IDLE=10 is ten minutes
	@benches/idle/run $(IDLE)

soak: ## ten minutes of 1080p uploads: memory and its slope; SOAK="--frames 1000000 --fps 1000" is a million small frames
	@tools/setup bench
	@benches/soak/run $(SOAK)

counts: ## instructions of the first pass against those recorded; COUNTS="--record", COUNTS="--arm64"
	@benches/counts/run $(COUNTS)

fuzz: ## a minute of fuzzing of each target; FUZZ="jpeg_dc --for 1h" is one of them
	@if [ -n '$(FUZZ)' ]; then fuzz/run $(FUZZ); else \
	  for target in $$(fuzz/run --list); do fuzz/run $$target --for 60s || exit 1; done; fi

jpeg: ## hundreds of JPEGs of many encoders, made and read: the table of docs/jpeg.md
	@tests/jpeg/run

crash: ## thousands of power cuts and kills of the spool, as root: docs/reliability.md; CRASH="--states 500 --seed 7"
	@tools/setup test
	@cargo test --locked --test crash -- $(or $(CRASH),--states 2400 --all-kills)

machine: ## thousands of random sequences against the spool's model, with power cuts; MACHINE="20000 7": so many, this seed
	@tools/setup test
	@set -- $(or $(MACHINE),4000); env MACHINE_CASES=$$1 $${2:+MACHINE_SEED=$$2} \
	  cargo test --locked --test machine -- --nocapture

crash-bugs: ## bugs planted in a copy of the spool: each must be caught; as root
	@tools/setup test
	@tests/crash/bugs/run $(STATES)

rtsp: ## ten minutes of an RTSP camera that dies every minute; RTSP="--minutes 1" is a try
	@tools/setup rtsp
	@cargo build --locked --bin vedette
	@tests/exec/rtsp $(RTSP)

deb: ## the Debian package of this machine's architecture, or of ARCH=arm64, armhf: target/packages
	@tools/setup packages
	@$(if $(ARCH),cross/deb $(ARCH),tools/deb)

packages: ## the Debian packages of all three architectures: amd64, arm64, armhf
	@for arch in amd64 arm64 armhf; do cross/deb $$arch || exit 1; done

deb-check: ## lintian, and the package installed, upgraded, removed and purged in a Debian of its own
	@tools/setup packages
	@cargo build --locked --bin vedette
	@packages/check --binary "$${CARGO_TARGET_DIR:-target}/debug/vedette"

deb-repro: ## the package built twice, in two places: the same bytes? ARCH="arm64 armhf" are others
	@tools/setup packages
	@packages/repro $(ARCH)

device: ## a whole camera device in a virtual machine, each scenario; DEVICE="powercut --times 10" is a choice
	@tools/setup device
	@cargo build --locked --bin vedette
	@tests/device/run $(or $(DEVICE),all)

arm: ## the test suite as arm64 and armhf programs, through qemu-user; ARM="--lib spool::" is a part of it
	@cross/test aarch64-unknown-linux-gnu $(ARM)
	@cross/test armv7-unknown-linux-gnueabihf $(ARM)

tarballs: ## static programs for devices without Debian: x86_64, aarch64, armv7
	@for target in x86_64-unknown-linux-musl aarch64-unknown-linux-musl armv7-unknown-linux-musleabihf; do \
	  cross/build --tarball $$target || exit 1; done

device-arm64: ## one boot of an arm64 device: driver, systemd, package; PACKAGE=x.deb takes that one
	@cross/device/run $(or $(PACKAGE),$$(cross/deb arm64))

minimal-debian: ## `make demo` and `make test` in a bare Debian, to prove that no install step is missing
	@tools/minimal-debian
