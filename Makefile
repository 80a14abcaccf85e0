# serge-net: two commands set everything up on a fresh Debian machine with Go,
# as root: make demo, make test. Each installs what it needs.

SHELL := /bin/bash
GO ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
BUILD := CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)"

# What the tests run: real clients, real servers, the compiler of the race
# detector, and the clang that the committed eBPF objects were made with.
DEMO_PACKAGES := curl ca-certificates python3
TEST_PACKAGES := $(DEMO_PACKAGES) gcc libc6-dev clang llvm libbpf-dev nginx-light wget \
	python3-requests nodejs default-jdk-headless openssl nghttp2-client musl-tools procps bind9-dnsutils util-linux \
	iptables iproute2 systemd libcap2-bin tmux cpio libnss3-tools libxml2-utils git python3-pip python3-venv python3-websockets node-ws python3-httpx python3-h2 python3-aiohttp \
	redis-server redis-tools python3-redis python3-aiosmtpd python3-grpcio
TEST_ALL_PACKAGES := $(TEST_PACKAGES) gradle junit4 $(MATRIX_PACKAGES) tshark ruby-vcr ruby-webmock $(DATABASE_PACKAGES)
# Servers and clients of databases, whose conversations are recorded and replayed.
DATABASE_PACKAGES := postgresql-15 postgresql-client-15 python3-psycopg2 python3-asyncpg mariadb-server mariadb-client python3-pymysql
# What the matrix of clients has of Debian. pip, npm, Maven and cargo bring the
# rest; cargo is taken from PATH.
MATRIX_PACKAGES := gnutls-bin apt python3-pycurl python3-httpx python3-aiohttp python3-urllib3 python3-boto3 python3-grpcio \
	python3-httplib2 python3-gi gir1.2-soup-3.0 glib-networking awscli \
	maven gradle kotlin ruby ruby-faraday ruby-bundler php-cli php-curl php-guzzlehttp-guzzle libwww-perl perl \
	libssl-dev pkg-config chromium firefox-esr $(if $(shell command -v npm),,npm)
FIXTURES_PACKAGES := curl openssl util-linux python3-venv ruby-vcr ruby-webmock nodejs default-jre-headless maven chromium $(if $(shell command -v npm),,npm)
VM_PACKAGES := qemu-system-x86 kmod iptables iproute2 procps util-linux ca-certificates
VAGRANT_PACKAGES := debootstrap ruby shellcheck ca-certificates
BENCH_PACKAGES := $(DEMO_PACKAGES) nginx-light nghttp2-client wrk python3-venv

.PHONY: build demo test test-all matrix errors conformance vm-test vagrant-test generate fixtures fuzz bench lint cross help apt-%

help: ## what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "%-12s %s\n", $$1, $$2}'

build: ## the program, static, into bin/
	$(BUILD) -o bin/serge-net ./cmd/serge-net

demo: apt-DEMO build ## record and replay real clients against an embedded origin
	bin/serge-net demo

test: apt-TEST lint cross ## everything that CI checks
	.ci/coverage
	CGO_ENABLED=1 $(GO) test -race -count=1 -timeout 10m ./bpf ./redirect
	CGO_ENABLED=0 $(GO) test -count=1 -timeout 20m ./cmd/... ./redirect/testnet ./bench ./vagrant/...

test-all: apt-TEST_ALL test ## the rest: every fuzzer for a minute, the whole matrix, soak, other kernels
	$(MAKE) fuzz FUZZTIME=60s
	SERGE_TEST_ALL=1 $(GO) test -count=1 -timeout 90m ./cmd/serge-net ./redirect/... ./cassette/foreign
	$(MAKE) vm-test vagrant-test

matrix: apt-TEST_ALL ## every client in each lane as each user, to docs/clients.md
	CGO_ENABLED=0 $(GO) test -count=1 -timeout 60m -run TestMatrix ./cmd/serge-net -write $(CURDIR)/docs/clients.md

errors: apt-TEST ## what clients see of failing origins in each lane, to docs/errors.md
	CGO_ENABLED=0 $(GO) test -count=1 -timeout 30m -run TestFailing ./cmd/serge-net -write-failures $(CURDIR)/docs/errors.md

conformance: apt-TEST ## h2spec, Autobahn and gRPC's cases, beside others, to docs/h2spec.md, autobahn.md and grpc-interop.md
	CGO_ENABLED=0 $(GO) test -count=1 -timeout 5m -run TestH2spec ./mitm/http2 -write $(CURDIR)/docs/h2spec.md
	wstest=$$(cmd/serge-net/testdata/wstest.sh $(CURDIR)/bin/autobahn) && \
	CGO_ENABLED=0 $(GO) test -count=1 -timeout 40m -run TestAutobahn ./cmd/serge-net -wstest $$wstest -write-autobahn $(CURDIR)/docs/autobahn.md
	CGO_ENABLED=0 $(GO) test -count=1 -timeout 10m -run TestGRPCInterop ./cmd/serge-net -write-grpc $(CURDIR)/docs/grpc-interop.md

VM_TESTS ?= .
VM_SERIES ?= all
vm-test: apt-VM ## boot Debian's kernels under qemu, try every lane, write docs/kernels.md
	CGO_ENABLED=0 $(GO) run ./vagrant/vm -series $(VM_SERIES) -tests '$(VM_TESTS)' -write docs/kernels.md

vagrant-test: apt-VAGRANT build ## provision a Debian in a chroot as Vagrant does its machines
	ruby -c vagrant/Vagrantfile
	shellcheck vagrant/*.sh
	vagrant/chroot-test.sh

generate: apt-TEST ## the eBPF objects from their C
	$(GO) generate ./bpf/...

fixtures: apt-FIXTURES ## recordings by other tools, written anew by them: cassette/foreign/testdata
	cassette/foreign/testdata/make/all.sh

FUZZTIME ?= 10s
fuzz: ## each fuzzer for FUZZTIME
	@set -e; for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$pkg; \
	  done; done

bench: apt-BENCH ## speed beside direct, in alternating rounds, to bench/RESULTS.md
	mitmdump=$$(bench/testdata/mitmdump.sh $(CURDIR)/bin/mitmproxy) && \
	CGO_ENABLED=0 $(GO) test -run '^$$' -bench . -benchtime 1x -timeout 20m ./bench -write RESULTS.md -mitmproxy $$mitmdump

lint: ## gofmt, vet, staticcheck
	@out=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$out" ] || { echo "gofmt: $$out"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

# vet type-checks programs and tests, and compiles what they import; linking the
# program too would take longer than that, and find nothing.
cross: ## the other systems' programs and tests are type-checked
	@set -e; for on in linux/arm64 darwin/arm64 windows/amd64; do \
	  export GOOS=$${on%/*} GOARCH=$${on#*/} CGO_ENABLED=0; echo "$$on"; \
	  $(GO) vet ./...; \
	done

# apt-X installs what of X_PACKAGES is missing. Elsewhere than on Debian it says
# what is needed.
apt-%:
	@missing=""; for p in $($*_PACKAGES); do dpkg -s $$p >/dev/null 2>&1 || missing="$$missing $$p"; done; \
	[ -z "$$missing" ] || { command -v apt-get >/dev/null || { echo "please install:$$missing"; exit 1; }; \
	echo "installing:$$missing"; apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing >/dev/null; }
