# Thin on purpose: meson builds, the scripts in tools/ do the rest. `make help` lists what there is.
PREFIX ?= /usr/local
DESTDIR ?=
SETUP = --prefix=$(PREFIX)

.PHONY: all help deps demo demo-stop test bench fuzz chaos simulate valgrind systemd coverage lint format docs install clean

all: build/build.ninja
	@ninja -C build

help:
	@echo 'make            build/switchyard and build/enclii'
	@echo 'make demo       install what is missing, build, run Enclii and deploy real apps; make demo-stop removes it all'
	@echo 'make test       install what is missing and run every test (tools/run-tests --help for parts of it)'
	@echo 'make bench      measure against the goals; chaos, fuzz, simulate: the long forms of what the tests do in short'
	@echo 'make valgrind   the black-box tests with both programs under memcheck'
	@echo 'make systemd    a server by the how-to, booted by a real systemd in a container, put to work and troubled'
	@echo 'make coverage   count which lines and branches the tests run; writes docs/coverage.md'
	@echo 'make lint       laws, generated files, format; make format, make docs: mend them'
	@echo 'make install    into PREFIX (default /usr/local) below DESTDIR, with the systemd units'
	@echo 'make clean      remove build folders'

deps:
	@tools/install-deps

build/build.ninja:
	@tools/install-deps --check build
	@meson setup build $(SETUP)

demo: deps
	@$(MAKE) --no-print-directory all
	@tools/demo start

demo-stop:
	@tools/demo stop

test: deps
	@tools/run-tests

bench: deps
	@$(MAKE) --no-print-directory all
	@bench/run

fuzz: deps
	@tools/install-deps develop
	@tools/run-fuzz

chaos: deps
	@tools/run-tests --only blackbox --long

simulate: all
	@build/tests/simulation/simulate --seeds $${SEEDS:-10000} --crash-points 400

valgrind: deps
	@tools/install-deps develop
	@tools/run-valgrind

systemd: deps
	@$(MAKE) --no-print-directory all
	@endpoint=$$(tools/private-engine find build/engine) && \
	ENCLII_TEST_BUILD=build ENCLII_TEST_ENGINE=$$endpoint python3 -B -m pytest -s -q tests/systemd; \
	status=$$?; tools/private-engine stop build/engine; exit $$status

coverage: deps
	@tools/install-deps develop
	@tools/run-coverage --docs

lint:
	@tools/lint/run

format:
	@git ls-files -co --exclude-standard -- '*.c' '*.h' | xargs -r clang-format-14 -i

docs: all
	@tools/generate-docs

install: all
	@meson configure build $(SETUP) >/dev/null
	@DESTDIR='$(DESTDIR)' meson install -C build

clean:
	rm -rf build build-asan build-tsan build-fuzz build-valgrind build-coverage
