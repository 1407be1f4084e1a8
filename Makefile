# The commands of the house. Bare `make` lists them.

VERSION   := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
BINARY    := bin/httpdhs
PKG       ?= ./...
FUZZTIME  ?= 10s
BENCH     ?= .
BENCHTIME ?= 1s
ROUNDS    ?= 5
KEYS      ?= 10000000
BEFORE    ?=
ONLY      ?=
STEPS     ?= 5000000
CHECKS    ?= 10000
SEEDS     ?= 500
FROM      ?= 1
SOAK_KEYS ?= 1000000
RUN       ?= Join|Leave|Evict|Restart|Turn|Split|OneWay|Secure|AreTold|Sick|Slow|Paused|Overlap|Wire|Flood|FewFiles|RandomFaults
SOAK_MINUTES ?= 10
KILLS        ?= 300
DIST         ?= dist
ARCHS        ?= amd64 arm64
IMAGE        ?= httpdhs
IMAGE_ARCH   ?= $(shell go env GOARCH)
CONTAINERS   ?= $(if $(shell command -v podman),podman,docker)
TARGETS      ?= linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64

# What is checked is built as it is shipped, and so is compiled once for lint, build and test.
export CGO_ENABLED := 0
export GOFLAGS     := $(strip $(shell go env GOFLAGS) -trimpath)

# Most tests wait more than they compute, those of the binary for longest: they begin first. Lint has
# vetted them all. With GOGC the tests and the compiler collect garbage less often. Nodes that ./test
# starts run without it.
GOTEST := GOGC=400 go test -p 4 -parallel 8 -vet off

BUILD := go build -trimpath -buildvcs=false

STATICCHECK := go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
NFPM        := go run github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.0
CYCLONEDX   := go run github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0

RELEASE = DIST='$(DIST)' VERSION='$(VERSION)' BUILD='$(BUILD)' NFPM='$(NFPM)' CYCLONEDX='$(CYCLONEDX)' \
	ARCHS='$(ARCHS)' TARGETS='$(TARGETS)' scripts/release.sh

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## list what there is
	@awk 'BEGIN { FS = ":.*## " } /^[a-z0-9-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build the binary into bin/httpdhs: static, reproducible, version from git
	$(BUILD) -ldflags '-X main.version=$(VERSION)' -o $(BINARY) ./cmd/httpdhs

.PHONY: demo
demo: build ## run three nodes, put a key into one, get it from another, kill one, get it again
	@scripts/demo.sh $(BINARY)

.PHONY: cluster
cluster: build ## run three nodes in one process on ports 1234 to 1236 until Ctrl-C
	@$(BINARY) dev

.PHONY: test
test: ## run the tests (PKG=./kv narrows it, here and below)
	$(GOTEST) $(if $(filter ./...,$(PKG)),./test) $(PKG)
	$(if $(filter ./...,$(PKG)),cd deploy/check && $(GOTEST) ./...)

.PHONY: race
race: ## run the tests with the race detector, which needs gcc; it does not see into the binary that ./test runs
	scripts/race.sh $(if $(filter ./...,$(PKG)),$$(go list ./... | grep -v '/test$$'),$(PKG))

.PHONY: model
model: ## check the models for long: of the store, STEPS operations a workload (5000000), of replicas and of a changing ring
	SHARD_STEPS=$(STEPS) scripts/race.sh -timeout 24h -count 1 ./shard -rapid.checks $(CHECKS)
	go test -timeout 24h -count 1 -run ReplicasConverge ./dataplane -rapid.checks $(CHECKS)
	REBALANCE_SEEDS=$(CHECKS) REBALANCE_DEPARTURES=1 go test -timeout 24h -count 1 ./rebalance

.PHONY: e2e
e2e: build ## run the tests of the real binary as a user runs it
	go test -count=1 ./test/...

.PHONY: thorough
thorough: ## run the floods of one kind and the siege of a cluster, where make check has a flood of all kinds and the siege of a node
	THOROUGH=1 go test -count=1 -run 'FloodOf|SiegeOf' ./test/...

.PHONY: soak
soak: ## the same tests of coming and going for long: SOAK_KEYS (1000000), SOAK_MINUTES (10) of faults at random (RUN=regexp)
	SOAK=1 SOAK_KEYS=$(SOAK_KEYS) SOAK_MINUTES=$(SOAK_MINUTES) go test -count=1 -v -timeout 24h -parallel 1 -run '$(RUN)' ./test/...

.PHONY: kills
kills: ## kill nodes that are on disks, KILLS times (300) in each of six ways, with a checker; and damage disks
	KILLS=$(KILLS) DAMAGES=20 DAMAGE_KEYS=2000 COLD_KEYS=1000000 ROLLING_KEYS=1000000 go test -count=1 -v -timeout 24h -parallel 1 -run 'Kills|Damage|Directories|Disk' ./test/
	DISK_SEEDS=20 go test -count=1 -timeout 24h -run 'Damage|PowerCut' ./disk

.PHONY: sim
sim: ## simulate clusters with all kinds of faults (SEEDS=500, FROM=1), or one with its whole log (SEED=n)
ifdef SEED
	SIMNET_SEED=$(SEED) go test ./internal/simnet -run '^TestSeeds$$' -count=1 -v
else
	SIMNET_FROM=$(FROM) SIMNET_SEEDS=$(SEEDS) go test ./internal/simnet -run '^TestSeeds$$' -count=1 -v -timeout 0
endif

.PHONY: mutants
mutants: ## break the rules of the protocol, one line at a time: a test has to find each
	MUTANTS=1 go test ./internal/mutants -count=1 -v -timeout 0

.PHONY: fuzz
fuzz: ## run each fuzz target for FUZZTIME (10s)
	@grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sort | while IFS=: read -r file target; do \
		echo "== $${target#func } in $${file%/*}"; \
		go test -run '^$$' -fuzz "^$${target#func }\$$" -fuzztime $(FUZZTIME) "$${file%/*}" </dev/null || exit 1; \
	done

.PHONY: bench
bench: build ## measure the goals against the baseline, the limit, and redis if installed, alternating (ROUNDS=5, BEFORE=binary)
	$(BUILD) -o bin/ ./workshop/baseline ./workshop/limit
	go run ./workshop/goals --binary $(BINARY) --rounds $(ROUNDS) --before '$(BEFORE)' --only '$(ONLY)'

.PHONY: bench-nodes
bench-nodes: ## measure what a PUT costs in clusters of 3, 5 and 9 nodes (ROUNDS=5, BEFORE=binary)
	$(MAKE) bench ONLY=nodes

.PHONY: bench-disk
bench-disk: ## measure what a disk costs, beside memory only and beside redis with an append-only file (ROUNDS=5)
	$(MAKE) bench ONLY=disk

.PHONY: bench-peers
bench-peers: build ## measure beside redis, memcached, webdis and etcd, those installed, into docs/benchmarks.md (ROUNDS=5)
	go run ./workshop/peers --binary $(BINARY) --rounds $(ROUNDS) --out docs/benchmarks.md

.PHONY: bench-store
bench-store: build ## measure the store beside redis, 10 million keys (KEYS=), into docs/benchmarks-store.md (BEFORE=binary)
	go run ./workshop/store --binary $(BINARY) --keys $(KEYS) --before '$(BEFORE)' --out docs/benchmarks-store.md

.PHONY: gobench
gobench: ## run the Go benchmarks (BENCH=regexp, BENCHTIME=1s)
	go test -run '^$$' -bench '$(BENCH)' -benchmem -benchtime $(BENCHTIME) $(PKG)

.PHONY: fmt
fmt: ## format the code and tidy go.mod
	gofmt -w .
	go mod tidy

.PHONY: lint
lint: ## check format, go.mod, go vet and staticcheck
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "not formatted (make fmt):"; echo "$$unformatted"; exit 1; }
	go mod tidy -diff
	go vet ./...
	cd deploy/check && go mod tidy -diff && go vet ./...
	$(STATICCHECK) ./...

.PHONY: check
check: lint build test ## what a change has to pass: lint, build, and the tests

.PHONY: ci
ci: check thorough race sim ## all that CI checks: make check, more floods, the tests with the race detector, and 500 simulated clusters

.PHONY: packages
packages: ## build a deb and an rpm for each of ARCHS (amd64 arm64) into dist/
	$(RELEASE) packages

.PHONY: release
release: ## build all that is shipped into dist/: these, archives for TARGETS, an SBOM, checksums
	$(RELEASE) release

.PHONY: image
image: ## build the image httpdhs (IMAGE=name) from the binary, by podman or docker, for IMAGE_ARCH
	rm -rf dist/image
	mkdir -p dist/image/usr/bin
	mkdir -m 1777 dist/image/data
	GOOS=linux GOARCH=$(IMAGE_ARCH) $(BUILD) -ldflags '-s -w -X main.version=$(VERSION)' -o dist/image/usr/bin/httpdhs ./cmd/httpdhs
	$(CONTAINERS) build --platform linux/$(IMAGE_ARCH) $(if $(findstring podman,$(CONTAINERS)),--format docker) \
		--build-arg SOURCE=prebuilt --build-arg VERSION=$(VERSION) -f deploy/Dockerfile -t $(IMAGE) .

.PHONY: clean
clean: ## remove what was built
	rm -rf bin dist
