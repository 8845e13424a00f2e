# What a developer or CI runs. `make help` lists the targets.
GO      ?= go
TOOL     = $(GO) tool -modfile=tools.mod
FUZZTIME ?= 10m
DATA    ?= $(HEADLIGHT_DATA)

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: check
check: install lint test clients bench-build systemd ## everything that must pass before a commit lands; installs what it needs

.PHONY: install
install: ## install what the tests need (Debian)
	@tools/install-debian.sh

.PHONY: lint
lint: ## formatting, vet, staticcheck
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "gofmt needed:" $$unformatted; exit 1; fi
	$(GO) vet ./...
	$(GO) vet -tags clients ./docs
	$(TOOL) staticcheck ./...

.PHONY: test
test: ## all tests, with the race detector and in random order
	$(GO) test -race -shuffle=on ./...

# The programs are Debian's own, started as the pages in docs say.
.PHONY: clients
clients: ## mail servers, resolvers and other programs use Headlight as docs/ says
	$(GO) test -count=1 -tags clients ./docs
	cd bench && $(GO) test -count=1 -run Clients .

.PHONY: bench-build
bench-build: ## the side-by-side benchmarks still build and vet
	cd bench && $(GO) vet ./...

.PHONY: systemd
systemd: ## the systemd unit is valid and hardened
	@tools/check-systemd.sh

.PHONY: bench
bench: ## side by side with peers, ten runs (about 20 minutes)
	cd bench && $(GO) test -run '^$$' -bench . -count 10 ./... | tee bench.out
	$(TOOL) benchstat bench/bench.out

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (default 10m) each
	tools/fuzz.sh $(FUZZTIME)

.PHONY: crash
crash: ## kill -9 a thousand times during import and serve
	HEADLIGHT_CRASHES=1000 EVIDENCE_TEST_KILLS=1000 JETSTREAM_TEST_KILLS=100 $(GO) test -count=1 -run 'Killed|Kill' -timeout 3h -v ./cmd/headlight ./evidence ./jetstream

.PHONY: eval
eval: ## judge the streams in DATA/streams (a directory that is not part of the repository)
	tools/eval.sh "$(DATA)"

.PHONY: eval-data
eval-data: ## read the real mails, chats and streams in DATA and compare with an oracle
	HEADLIGHT_DATA="$(DATA)" $(GO) test -count=1 -tags evaldata -run TestReal -v ./message ./feed ./probe
