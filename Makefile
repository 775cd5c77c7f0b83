# Everything that is done with this project by hand or in CI. `make help` lists it.

.DEFAULT_GOAL := help

# The same flags everywhere, so that all builds share one cache.
export GOFLAGS := -trimpath -buildvcs=false
export CGO_ENABLED := 0

# Other components of the repository have tags of their own.
VERSION = $(patsubst nautobot-token-v%,%,$(shell git describe --tags --match 'nautobot-token-v*' --dirty 2>/dev/null || echo devel))
COMMIT  = $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
EPOCH   = $(shell git log -1 --format=%ct 2>/dev/null || echo 0)

# Where the program keeps its version.
CMD = github.com/rackerlabs/understack/go/nautobot-token/cmd

NAUTOBOT_VERSION = 3.2.7
FUZZTIME         = 50000x

# The modules besides the program's own, and the shell scripts.
MODULES = charts test/external-secrets $(wildcard test/tools/*)
SCRIPTS = .ci/run test/image/build.sh test/release/publish.sh test/release/place.sh test/servers/node.sh test/bench/script.sh examples/pipeline/check.sh

# Where the project is a folder of a repository, its workflows are at the root.
WORKFLOWS = $(wildcard .github/workflows/*.yaml $(shell git rev-parse --show-cdup 2>/dev/null).github/workflows/nautobot-token-*.yaml)

# What takes minutes to make is made once and kept here.
CACHE := $(or $(NAUTOBOT_TOKEN_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/nautobot-token)

# The tools of `make lint` are built again when their version or Go's changes.
tool = $(CACHE)/bin/$(1)-$(shell awk '$$1 == "require" && NF == 3 { print $$3 }' test/tools/$(1)/go.mod)-$(shell go env GOVERSION)
GOLANGCI_LINT := $(call tool,golangci-lint)
ACTIONLINT    := $(call tool,actionlint)
PROMTOOL      := $(call tool,promtool)

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/nautobot-token
	go build -ldflags '-s -w -X $(CMD).version=$(VERSION) -X $(CMD).commit=$(COMMIT)' -o bin/nautobot-token .

.PHONY: demo
demo: build ## run the program against a fake Nautobot, and show what it prints
	@go run ./examples/demo bin/nautobot-token

.PHONY: test
test: ## run the tests that need no server
	go test -timeout 60m ./...

.PHONY: thorough
thorough: ## run every interleaving and every fault of sync, revoke and prune (half an hour)
	NAUTOBOT_TOKEN_THOROUGH=1 go test -count=1 -timeout 90m -run 'Loop|SecretsThatCannot' ./provision

.PHONY: race
race: ## run the shorter tests with the race detector (needs a C compiler)
	CGO_ENABLED=1 go test -race -short -timeout 60m ./...

# Go does not see when files outside of a module change: -count=1 makes it test again.
.PHONY: chart
chart: build $(PROMTOOL) ## test the Helm chart and the examples with the programs that read them (the first run takes long)
	NAUTOBOT_TOKEN_BINARY=$(CURDIR)/bin/nautobot-token PROMTOOL=$(PROMTOOL) go -C charts test -count=1 ./...
	go -C test/external-secrets test -count=1 ./...

.PHONY: image
image: ## build the container image into bin/nautobot-token.tar, without a container engine (root on Debian)
	VERSION=$(VERSION) COMMIT=$(COMMIT) NAUTOBOT_TOKEN_CACHE=$(CACHE) test/image/build.sh bin/nautobot-token.tar

# The platforms of a release. For each one more, the first build takes minutes.
TARGETS = linux/amd64,linux/arm64,darwin/amd64,darwin/arm64

.PHONY: dist
dist: ## make the archives of a release, its chart and their checksums in dist
	go run ./test/release -version '$(VERSION)' -commit '$(COMMIT)' -epoch '$(EPOCH)' -targets '$(TARGETS)' dist

# What git has of the commit, in another folder: what is not committed is not in it.
.PHONY: reproduce
reproduce: dist ## make dist a second time from a copy of the commit, and compare
	@copy=$$(mktemp -d) && trap 'rm -rf "$$copy"' EXIT && \
		git archive HEAD | tar -x -C "$$copy" && \
		$(MAKE) -C "$$copy" dist VERSION='$(VERSION)' COMMIT='$(COMMIT)' EPOCH='$(EPOCH)' TARGETS='$(TARGETS)' >/dev/null && \
		diff dist/SHA256SUMS "$$copy/dist/SHA256SUMS" && echo 'twice the same bytes'

.PHONY: notices
notices: ## bring THIRD_PARTY_NOTICES up to date
	go run ./test/release -notices >THIRD_PARTY_NOTICES.new
	mv THIRD_PARTY_NOTICES.new THIRD_PARTY_NOTICES

.PHONY: version
version: ## print the version, from git's tags
	@echo '$(VERSION)'

.PHONY: servers
servers: ## build and install what e2e needs; as root, the missing Debian packages too
	go run ./test/serve prepare

.PHONY: e2e
e2e: ## run the tests on real servers, and the whole chain on a real node (root on Debian; the first run takes long)
	go test -tags e2e -count=1 -p 2 -timeout 60m ./test/...

.PHONY: bench
bench: ## measure requests, time, memory and size beside a bare HTTP client, and draw docs/figures.svg (Linux, needs curl and jq)
	go run ./test/bench -o docs/figures.json
	go -C test/tools/figures run . -docs $(CURDIR)/docs

# It counts executions: at the end of a time Go's fuzzer fails on a busy machine.
.PHONY: fuzz
fuzz: ## run every fuzz target FUZZTIME=50000x, two at a time
	go test -run '^$$' -fuzz '^$$' ./cmd # builds for all of them, once
	@grep -rlE --include='*_test.go' '^func Fuzz' . | xargs grep -oE '^func Fuzz[A-Za-z0-9_]*' | sed 's/:func / /' | \
		xargs -P 2 -L 1 sh -c 'go test -run "^$$" -fuzz "^$$1$$" -fuzztime $(FUZZTIME) -parallel 1 "$$(dirname "$$0")"'

.PHONY: lint
lint: $(GOLANGCI_LINT) $(ACTIONLINT) ## check code, module files, workflows and shell scripts
	go mod tidy -diff
	go -C charts mod tidy -diff
	go vet -tags e2e ./...
	GOLANGCI_LINT_CACHE=$(CACHE)/golangci-lint $(GOLANGCI_LINT) run
	cd charts && GOLANGCI_LINT_CACHE=$(CACHE)/golangci-lint $(GOLANGCI_LINT) run -c ../.golangci.yml
	cd test/external-secrets && GOLANGCI_LINT_CACHE=$(CACHE)/golangci-lint $(GOLANGCI_LINT) run -c ../../.golangci.yml
	$(ACTIONLINT) $(WORKFLOWS)
	@if command -v shellcheck; then shellcheck $(SCRIPTS); else echo 'no shellcheck here: the shell scripts are not checked'; fi

.PHONY: fmt
fmt: $(GOLANGCI_LINT) ## format the code
	$(GOLANGCI_LINT) fmt

.DELETE_ON_ERROR:
$(GOLANGCI_LINT):
	go -C test/tools/golangci-lint build -ldflags '-s -w' -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
$(ACTIONLINT):
	go -C test/tools/actionlint build -ldflags '-s -w' -o $@ github.com/rhysd/actionlint/cmd/actionlint
# Without Prometheus' service discovery, which takes most of the time to build.
$(PROMTOOL):
	go -C test/tools/promtool build -tags remove_all_sd -ldflags '-s -w' -o $@ github.com/prometheus/prometheus/cmd/promtool

.PHONY: nautobot
nautobot: ## run a real Nautobot until Ctrl-C (NAUTOBOT_VERSION=3.2.7)
	@go run ./test/serve nautobot $(NAUTOBOT_VERSION)

.PHONY: cluster
cluster: ## run a real Kubernetes API server until Ctrl-C
	@go run ./test/serve cluster

.PHONY: node
node: ## run a whole cluster with Argo Events until Ctrl-C (root on Debian)
	@go run ./test/serve node

.PHONY: tidy
tidy: ## bring go.mod and go.sum up to date, those of the tools too
	go mod tidy
	for dir in $(MODULES); do go -C $$dir mod tidy || exit 1; done

.PHONY: clean
clean: ## remove bin and dist
	rm -rf bin dist
