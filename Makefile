# Targets for people and CI. Each installs what it needs: scripts/install.sh.
SHELL := /bin/bash
TOOLS := $(CURDIR)/.tools
STATICCHECK_VERSION := v0.8.2
GOVULNCHECK_VERSION := v1.9.0
CADDY_VERSION := v2.11.9

.PHONY: run build test quick lint bench soak clean

run:
	go run . serve

build:
	go build -trimpath -o millrace .

# Everything CI checks.
test: lint
	scripts/install.sh test
	go test -race -vet=off -timeout 8m ./...
	go test -count=1 -vet=off -timeout 8m ./e2e -args -real

# The quick check while working: no installs, no race detector.
quick:
	go test ./...

lint:
	scripts/lint.sh $(TOOLS) $(STATICCHECK_VERSION) $(GOVULNCHECK_VERSION)

# Ours and its peers side by side, as ratios: see bench/README.md.
bench: build $(TOOLS)/caddy
	scripts/install.sh bench
	PATH="$$PATH:$(TOOLS)" go run ./bench -millrace ./millrace

# Ten thousand changes of everything under load, then ten minutes of the whole system
# with mixed traffic and upstreams that fail; each answer is checked.
SOAK := 10m
soak:
	go test ./gateway -count=1 -timeout 20m -run TestEachAnswerIsOfItsMoment -changes 10000 -v
	go test ./server -count=1 -timeout 30m -run 'TestSoak$$' -soak $(SOAK) -v | grep -v level=

$(TOOLS)/caddy:
	GOBIN=$(TOOLS) go install github.com/caddyserver/caddy/v2/cmd/caddy@$(CADDY_VERSION)

clean:
	rm -rf millrace bin .tools bench/out
