#!/usr/bin/env bash
# Installs what the tests (install.sh test) or the benchmark (install.sh bench)
# need and the machine lacks: Debian packages, npm packages and a Go program. What
# is there already is left as it is. It asks nothing, and tries again what a busy
# network or another installation may have spoilt.
set -euo pipefail
cd "$(dirname "$0")/.."

commands=() missing=()
need() { # need COMMAND PACKAGE...: the Debian packages that bring a command
  commands+=("$1")
  command -v "$1" >/dev/null || missing+=("${@:2}")
}

browser() { # the tests with a browser are skipped where it cannot be installed
  local c
  for c in chromium-headless-shell chromium chromium-browser google-chrome google-chrome-stable; do
    ! command -v "$c" >/dev/null || return 0
  done
  again debian chromium-headless-shell || echo "install.sh: no browser is installed" >&2
}

again() { # again COMMAND...: until it succeeds, five times at most
  local try
  for try in 1 2 3 4 5; do
    "$@" </dev/null && return
    echo "install.sh: attempt $try of 5 failed: $*" >&2
    sleep $((try * 3))
  done
  return 1
}

sudo=()
[ "$(id -u)" = 0 ] || sudo=(sudo -n)

debian() { # debian PACKAGE...
  # At runlevel 1 packages do not start their services: the tests start their own.
  local as=("${sudo[@]}" env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l RUNLEVEL=1)
  local options=(-q -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold)
  "${as[@]}" dpkg --configure -a || true # what an interrupted installation left
  "${as[@]}" apt-get "${options[@]}" update || true # a list may be unreachable and not needed
  "${as[@]}" apt-get "${options[@]}" install -y --no-install-recommends "$@"
}

npmPackages() { # npmPackages FOLDER: those of its lock file, if they are not there
  cd "$1"
  cmp -s package-lock.json node_modules/.installed && return
  npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier --prefer-offline --loglevel=error || return
  cp package-lock.json node_modules/.installed
}

need node nodejs
need npm npm
need python3 python3
case "${1:-test}" in
  test) need etcd etcd-server; need etcdctl etcd-client; need redis-server redis-server; need curl curl; need gcc gcc libc6-dev ;;
  bench) need nginx nginx-light; need haproxy haproxy; need wrk wrk; need h2load nghttp2-client; need taskset util-linux ;;
  *) echo "usage: $0 test|bench" >&2; exit 2 ;;
esac

if [ ${#missing[@]} -gt 0 ]; then
  again debian "${missing[@]}"
fi
hash -r
for c in "${commands[@]}"; do
  command -v "$c" >/dev/null || { echo "install.sh: there is still no $c" >&2; exit 1; }
done

[ "${1:-test}" != test ] || browser

# The ACME server that gateway/acme is tested against.
if [ "${1:-test}" = test ] && [ ! -x .tools/pebble ]; then
  again env GOBIN="$PWD/.tools" go install github.com/letsencrypt/pebble/v2/cmd/pebble@v2.10.1
fi

# The clients of OpenWhisk that the end-to-end tests drive.
if [ "${1:-test}" = test ]; then
  (again npmPackages "$PWD/e2e/npm")
fi
