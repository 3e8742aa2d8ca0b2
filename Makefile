# Souk's commands. `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/sh
# Flags of tofu for plan, apply and destroy: make apply ARGS=-auto-approve
ARGS ?=
CLEAN ?=
COLD ?=

# souk runs as the recipe's own process, so that Ctrl-C and kill reach it.
SOUK := exec bin/souk

.PHONY: help up down status doctor env build seed demo config new-service plan apply destroy test test-unit lint fmt measure bench chaos reconcile FORCE

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

bin/souk: FORCE
	@command -v go >/dev/null || { echo "make: go is not on PATH: install Go 1.26 or newer" >&2; exit 1; }
	@GOFLAGS=-buildvcs=false go build -o bin/souk ./cmd/souk

up: bin/souk ## bring everything up, or repair what is missing
	@$(SOUK) up

down: bin/souk ## stop everything; CLEAN=1 also removes all data
	@$(SOUK) down $(if $(filter-out 0,$(CLEAN)),--clean)

status: bin/souk ## show every server and job
	@$(SOUK) status

doctor: bin/souk ## check that this machine can run Souk
	@$(SOUK) doctor

build: bin/souk ## only build and fetch the servers, into the cache
	@$(SOUK) build

seed: bin/souk ## fill the shop with its catalogue; what is there already stays
	@$(SOUK) seed

demo: bin/souk ## a new customer buys, is declined, cancels, and is paid back
	@$(SOUK) demo

config: bin/souk ## the services' configuration: make config ARGS="plan | push | history | rollback N"
	@$(SOUK) config $(ARGS)

new-service: bin/souk ## lay out the rooms of a service: make new-service NAME=returns
	@$(SOUK) new-service $(NAME)

plan: bin/souk ## show what terraform/ would change
	@$(SOUK) plan $(ARGS)

apply: bin/souk ## make Vault, Consul and Nomad what terraform/ says
	@$(SOUK) apply $(ARGS)

destroy: bin/souk ## stop the jobs and undo what apply made
	@$(SOUK) destroy $(ARGS)

# identity and postgres come after the other packages, as they stop Vault and PostgreSQL under everybody.
test: bin/souk ## every test, on a stack of its own; leaves nothing running
	@bin/souk build
	go vet ./... # a test that does not compile must not leave servers behind
	@export GOFLAGS=-buildvcs=false; out=$$(mktemp -d) || exit 1; trap 'rm -rf "$$out"' EXIT; \
	run() { echo "+ go test $$*"; { go test "$$@" 2>&1 || touch "$$out/failed"; } | tee -a "$$out/log"; }; \
	run -race -p 3 $$(go list ./... | grep -v -e /tests/e2e -e /tests/chaos -e /internal/identity$$ -e /internal/postgres$$); \
	run -race ./internal/identity ./internal/postgres; \
	run -race -v -timeout 60m ./tests/e2e; \
	run -race -v -timeout 30m ./tests/chaos; \
	echo; echo "Summary"; grep -E '^(ok|FAIL|panic:|WARNING: DATA RACE)|^ *--- FAIL' "$$out/log"; \
	test ! -e "$$out/failed"

test-unit: ## the tests that need no server
	GOFLAGS=-buildvcs=false go test -race -short ./...

lint: bin/souk ## go vet, staticcheck, golangci-lint, and what tofu, nomad and consul check
	go vet ./...
	go tool -modfile=stack/lint/go.mod staticcheck ./...
	go tool -modfile=stack/golangci-lint/go.mod golangci-lint run ./...
	@bin/souk lint

fmt: bin/souk ## format Go, HCL and Terraform files
	gofmt -w $$(git ls-files '*.go')
	@bin/souk lint --fix

measure: bin/souk ## time a start and sum the memory; COLD=1: with every cache empty
	@$(SOUK) measure $(if $(filter-out 0,$(COLD)),--cold)

bench: bin/souk ## read the catalogue and place orders at fixed rates; show latencies and CPU time
	@bin/souk bench
	@bin/souk bench orders --rate 50
	@$(SOUK) bench orders --rate 200

chaos: bin/souk ## kill services, Kafka and PostgreSQL under 1,000 buyers: SOUK_CHAOS_SEED=7 SOUK_CHAOS_ROUNDS=3
	@bin/souk build
	GOFLAGS=-buildvcs=false SOUK_CHAOS_ROUNDS=$${SOUK_CHAOS_ROUNDS:-3} go test -count=1 -v -timeout 60m ./tests/chaos

reconcile: bin/souk ## compare orders, stock, payments and ledger, and report every difference
	@$(SOUK) reconcile

FORCE:
