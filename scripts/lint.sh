#!/usr/bin/env bash
# Checks the form of the code, and our dependencies for known vulnerabilities:
# lint.sh TOOLS_FOLDER STATICCHECK_VERSION GOVULNCHECK_VERSION. What a tool needs from the
# network and cannot get is said and not checked.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$1 staticcheck=$2 govulncheck=$3

unreachable='dial tcp|no such host|connection re(fus|s)|i/o timeout|TLS handshake|unexpected EOF|lookup disabled|status code 5|: 50[0-9] |fetching vulnerabilities|context deadline'

install() { # install COMMAND MODULE@VERSION: into the tools folder; false if it cannot be fetched
  [ -x "$tools/$1" ] && return
  local try out
  for try in 1 2 3 4; do
    out=$(GOBIN="$tools" go install "$2" 2>&1) && return
    grep -qE "$unreachable" <<<"$out" || break
    sleep $((try * 3))
  done
  echo "$out" >&2
  grep -qE "$unreachable" <<<"$out" || exit 1
  echo "$1: cannot be fetched from here; not checked"
  return 1
}

vulnerabilities() {
  local out
  # The version includes that of the database, which is quick to ask for.
  out=$(timeout 60 "$tools/govulncheck" -version 2>&1) || true
  if grep -q 'DB updated' <<<"$out"; then
    out=$(timeout 600 "$tools/govulncheck" ./... 2>&1) && { tail -n 3 <<<"$out"; return; }
    if [ $? != 124 ] && ! grep -qE "$unreachable" <<<"$out"; then
      echo "$out"
      exit 1
    fi
  fi
  echo "govulncheck: the vulnerability database cannot be reached from here; not checked"
}

unformatted=$(git ls-files -z '*.go' | xargs -0 gofmt -l)
if [ -n "$unformatted" ]; then
  echo "not gofmt'ed: $unformatted"
  exit 1
fi
go vet ./...
if install staticcheck "honnef.co/go/tools/cmd/staticcheck@$staticcheck"; then
  "$tools/staticcheck" ./...
fi
if install govulncheck "golang.org/x/vuln/cmd/govulncheck@$govulncheck"; then
  vulnerabilities
fi
