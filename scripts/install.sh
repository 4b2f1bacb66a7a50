#!/usr/bin/env bash
# Installs what the tests (install.sh test) or the benchmark (install.sh bench)
# need and the machine lacks: Debian packages and npm packages.
set -euo pipefail
cd "$(dirname "$0")/.."

need() { # need COMMAND PACKAGE: the Debian package that brings a command
  command -v "$1" >/dev/null || missing+=("$2")
}

missing=()
need node nodejs
need npm npm
need python3 python3
case "${1:-test}" in
  test) need etcd etcd-server; need redis-server redis-server ;;
  bench) need nginx nginx-light; need haproxy haproxy; need wrk wrk; need taskset util-linux ;;
  *) echo "usage: $0 test|bench" >&2; exit 2 ;;
esac

if [ ${#missing[@]} -gt 0 ]; then
  sudo=""
  [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get update -q
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -q --no-install-recommends "${missing[@]}"
fi

# The clients of OpenWhisk that the end-to-end tests drive.
if [ "${1:-test}" = test ]; then
  (cd e2e/npm && npm ci --ignore-scripts --no-audit --no-fund --silent)
fi
