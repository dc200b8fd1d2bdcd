# Front door: the build itself is CMakeLists.txt, and cmake/AgnInstall.cmake what is installed. `make help` lists the targets.
BUILD ?= build
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
CMAKE_ARGS ?=
SECONDS ?= 60
PREFIX ?= /usr/local
MAKEFLAGS += --no-print-directory

.PHONY: build help deps demo test bench bench-mcu fuzz tsan install uninstall deb clean

build: deps
	@mkdir -p $(BUILD)
	@cmake -S . -B $(BUILD) $(CMAKE_ARGS) >$(BUILD)/configure.log 2>&1 || { cat $(BUILD)/configure.log; exit 1; }
	@cmake --build $(BUILD) -j$(JOBS)

help:
	@echo "make         build everything into $(BUILD)/ (the command is $(BUILD)/agilenn)"
	@echo "make demo    train, export, serve and run the whole system on Fashion-MNIST; results in out/demo"
	@echo "make test    build and run every test"
	@echo "make bench   build and run the benchmarks"
	@echo "make bench-mcu  count instructions and bytes on an emulated Cortex-M7; tables in out/bench"
	@echo "make fuzz    fuzz every decoder and parser with libFuzzer, SECONDS each (60)"
	@echo "make tsan    look for data races with ThreadSanitizer: tests, then a server under load; SECONDS of it (5)"
	@echo "make deps    install the Debian packages that are missing (the targets above do so by themselves)"
	@echo "make install  the command, presets, manual, service and libraries into DESTDIR/PREFIX (/usr/local)"
	@echo "make uninstall  delete what the last 'make install' put there"
	@echo "make deb     Debian packages: agilenn (command, service) and libagilenn-dev"
	@echo "make clean   delete $(BUILD)/"
	@echo "Settings: BUILD=folder JOBS=n CMAKE_ARGS='-DAGN_SANITIZE=address,undefined'"

deps:
	@scripts/install-deps.sh build

demo: build
	$(BUILD)/agilenn demo

test:
	@scripts/install-deps.sh test
	@$(MAKE) build
	@ctest --test-dir $(BUILD) --output-on-failure -j2

bench: build
	@scripts/run-benchmarks.sh $(BUILD)

bench-mcu:
	@scripts/install-deps.sh test
	@$(MAKE) build
	@AGILENN_PRESETS=presets scripts/bench-mcu.sh $(BUILD)

fuzz:
	@scripts/install-deps.sh ci
	@JOBS=$(JOBS) scripts/fuzz.sh --seconds $(SECONDS)

tsan: SECONDS = 5
tsan:
	@scripts/install-deps.sh test
	@JOBS=$(JOBS) scripts/tsan.sh --seconds $(SECONDS)

install: build
	cmake --install $(BUILD) --prefix $(PREFIX)

uninstall:
	@while read -r file; do rm -f "$(DESTDIR)$$file"; done <$(BUILD)/install_manifest.txt

deb:
	@scripts/install-deps.sh deb
	@$(MAKE) build
	@cd $(BUILD) && cpack -G DEB
	@ls $(BUILD)/*.deb

clean:
	cmake -E rm -rf $(BUILD)
