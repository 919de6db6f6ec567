# `make` prints what there is.

VERSION := $(shell deploy/packaging/version.sh)
# What `make run` runs, and what is added to it: make run ARGS=--exit
RUN  ?= demo
ARGS ?=
# What `make test` and `make race` test, and `make bench` measures: make test PKG=./store/...
PKG  ?= ./...
FUZZTIME ?= 30s
# How `make chaos` breaks things, for how long, and where it adds its line.
SEED ?=
DURATION ?= 10m
RESULTS ?= docs/chaos.ndjson
# Whose servers `make matrix` takes (next: those that Debian's next release will have), and whether it is to be short.
VERSIONS ?=
SHORT    ?=
# What `make dist` builds for, as Go names them.
ARCHES ?= amd64 arm64

WITHSERVERS := go run ./deploy/local/withservers --

.DEFAULT_GOAL := help
.PHONY: help setup setup-tests build demo run test test-faults test-busy matrix generate clients chaos real-file race fuzz bench lint words stats vuln dist clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install PostgreSQL, RabbitMQ and Prometheus when they are missing (Debian, as root)
	@deploy/local/setup.sh

setup-tests:
	@deploy/local/setup.sh pgbouncer prometheus prometheus-alertmanager chromium
	@for folder in deploy/tools/axe deploy/tools/asyncapi docs/examples/node; do cd $(CURDIR)/$$folder && if [ node_modules/.package-lock.json -nt package-lock.json ]; then :; elif command -v npm >/dev/null; then npm ci --no-audit --no-fund --ignore-scripts >&2 || exit 1; \
	else echo "setup: npm is missing, and tests of the page, of AsyncAPI and of webhooks need it: apt-get install -y --no-install-recommends npm, or https://nodejs.org" >&2; fi; done

GOBUILD := CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X github.com/composerp/composerp/cli.Version=$(VERSION)'

build: ## leave the program in bin/composerp
	$(GOBUILD) -o bin/composerp ./cli/composerp

demo: setup build ## set up, and live ten weeks of a small shop, a day a second, on a live screen; proven at the end (ARGS=--exit: leave)
	bin/composerp demo $(ARGS)

run: setup build ## set up, start the fleet with a small shop, show it, stay until interrupted (ARGS=--exit: leave)
	bin/composerp $(RUN) $(ARGS)

# Tests wait for servers most of the time: four at once, whatever the cores. Those in FAULTS are left out by -short, or try less.
test: setup-tests ## set up and run every test against real servers, but for faults that take minutes
	@# -vet=off: make lint vets. -w: without the debugger's tables a hundred programs are linked faster.
	$(WITHSERVERS) go test -short -vet=off -ldflags=-w -timeout 25m -parallel 4 $(PKG)
	@# -count=1: the test cache does not see files outside the tools module, such as compose.yaml.
	go -C deploy/tools test -count=1 ./...

# The tests that -short leaves out, or tries less of; a test holds this list to them.
FAULTS := TestServers TestNetwork TestCluster TestFailover TestFailoverLosesWhatAStandbyLacks TestNodesOnSeveralHosts TestAPrimaryThatFallsSilent TestEveryFault TestKilledAtEveryPoint TestClocksThatAreWrong TestPausedLeaderWakesUpLate TestLanesKeepOrderWhileOwnersDie TestAlarmsOfTheBroker TestThroughputGrowsWithSlots
empty  :=
space  := $(empty) $(empty)

test-faults: setup-tests ## the faults that take minutes: servers, nodes and networks that break, a death at every point
	@# -p 1: two packages of these at once take longer together than one after the other.
	$(WITHSERVERS) go test -p 1 -timeout 60m -parallel 4 -run '^($(subst $(space),|,$(FAULTS)))$$' ./deploy/faults ./deploy/chaos ./cli ./workers/worker

test-busy: ## make test three times, with two busy loops a core beside it
	GOFLAGS=-count=1 go run ./deploy/local/busy -times 3 -loops 2 -- $(MAKE) test

matrix: ## tests, a cluster, demo and chaos on Debian 13's servers, set up in .matrix (Debian, as root; VERSIONS=next: sid's; SHORT=1: minutes)
	deploy/matrix/run.sh $(if $(SHORT),--short) $(if $(filter next,$(VERSIONS)),sid,trixie)

generate: ## write what is generated: schemas of events, docs/reference with its AsyncAPI document, the fleet's topology, help texts
	go generate ./...
	go test ./cli -run 'TestReference|TestGoldenHelp|TestAsyncAPI|TestTheDrawingOfTheFleet' -update
	go test ./workers ./exchange/topology -run Golden -update

clients: setup-tests ## install what the Python clients in docs/examples need (python3-pika; Debian, as root), so that tests run them too
	/usr/bin/python3 -c 'import pika' 2>/dev/null || apt-get install -y --no-install-recommends python3-pika

chaos: setup build ## break a fleet of its own at random for ten minutes and prove it (SEED=, DURATION=1m); the results add up in docs/chaos.ndjson
	bin/composerp chaos $(if $(SEED),--seed $(SEED)) --duration $(DURATION) --results $(RESULTS)
	@bin/composerp chaos report $(RESULTS)

real-file: setup ## the whole real till, over the log and straight, with the fleet killed on the way (minutes; needs its file)
	$(WITHSERVERS) env COMPOSERP_REAL_ROWS=0 go test ./cli -run 'TestRealSales|TestBothPaths|TestThePlanners' -count=1 -parallel 1 -timeout 60m -v

race: setup-tests ## the same under the race detector (needs a C compiler)
	$(WITHSERVERS) env CGO_ENABLED=1 go test -race -short -timeout 60m $(PKG)

fuzz: ## run every fuzz target for FUZZTIME (30s) each
	@set -e; grep -rn --include='*_test.go' -oE '^func Fuzz[A-Za-z0-9_]*' . | sed 's/^\(.*\)\/[^/]*:[0-9]*:func /\1 /' | sort -u | \
	while read -r folder target; do \
		echo "go test -fuzz $$target $$folder"; \
		go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$folder"; \
	done

bench: setup build ## Go benchmarks, then the whole path against the bare reference
	$(WITHSERVERS) go test -run '^$$' -bench . -benchmem -timeout 30m $(PKG)
	bin/composerp bench $(ARGS)

lint: ## gofmt, golangci-lint with go vet (.golangci.yml says why), the words, the links of the docs, the reasons of dependencies
	@unformatted=$$(git ls-files --cached --others --exclude-standard '*.go' | xargs gofmt -l); if [ -n "$$unformatted" ]; then echo "not formatted: $$unformatted"; exit 1; fi
	@# golangci-lint runs go vet on all but these: files behind the tag, and a module of its own.
	go vet -tags failpoints ./store/failpoint ./cli/settings
	go -C docs/examples/loyalty vet ./...
	go -C deploy/tools build -o ../../bin/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	bin/golangci-lint run ./...
	cd deploy/tools && ../../bin/golangci-lint run ./...
	go -C deploy/tools test -count=1 . ./links ./words
	go -C deploy/tools/kubernetes test -count=1 ./...
	go -C deploy/tools/grafana test -count=1 ./...

words: ## every line with a retired word or with a comment that is too long
	@go -C deploy/tools run ./words/print

stats: ## sizes of packages, files and functions, private words, what a new worker touches
	@go -C deploy/tools run ./stats

vuln: ## known vulnerabilities in the code that is called; says so and goes on where the database cannot be reached
	go -C deploy/tools build -o ../../bin/govulncheck golang.org/x/vuln/cmd/govulncheck
	@found=$$(bin/govulncheck ./... 2>&1) && status=0 || status=$$?; \
	case "$$status:$$found" in \
	0:*) echo "vuln: none" ;; \
	3:*) echo "$$found"; exit 3 ;; \
	*"fetching vulnerabilities"*) echo "vuln: not checked: the vulnerability database cannot be reached" ;; \
	*) echo "$$found"; exit $$status ;; \
	esac

# The programs are the same bytes wherever this commit is built with the same Go, and so are the packages: their files have its time.
dist: build ## archives, deb and rpm packages for Linux with their checksums, in bin/dist
	rm -rf bin/dist
	mkdir -p bin/dist/build/share
	bin/composerp man >bin/dist/build/share/composerp.1
	bin/composerp completion bash >bin/dist/build/share/composerp.bash
	bin/composerp completion zsh >bin/dist/build/share/_composerp
	bin/composerp completion fish >bin/dist/build/share/composerp.fish
	@set -e; for arch in $(ARCHES); do \
		echo "building for linux/$$arch"; \
		GOOS=linux GOARCH=$$arch $(GOBUILD) -o bin/dist/build/$$arch/composerp ./cli/composerp; \
	done
	go -C deploy/tools run ./dist -version '$(VERSION)' -time "$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)}" -arch "$$(echo $(ARCHES) | tr ' ' ,)"
	rm -r bin/dist/build

clean: ## delete what was built; the data of `composerp up` stays in .composerp
	rm -rf bin
