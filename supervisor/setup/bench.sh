#!/usr/bin/env bash
# Everything the benchmarks need: the compiled program, nats-server, the local S3 server, and for the baselines redis-server and
# pyarrow. Does nothing when it is there.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=supervisor/setup

bash "$here/system.sh"
bash "$here/node.sh"
# node.sh compiles when the program or its tests have changed; what only the benchmarks have changed is compiled here.
if [ ! -e dist/bench/main.js ] || [ -n "$(find bench test/bench -name '*.ts' -newer dist/bench/main.js -print -quit)" ]; then
  npx --no-install tsc -p .
  touch dist/bench/main.js
fi
bash "$here/s3-server.sh"
bash "$here/test-python.sh"

command -v redis-server >/dev/null 2>&1 && exit 0
if ! command -v apt-get >/dev/null 2>&1 || [ "$(id -u)" -ne 0 ]; then
  echo "setup: the benchmarks compare with Redis and this host has no redis-server: run 'sudo apt-get install --no-install-recommends redis-server', then run make bench again" >&2
  exit 1
fi
log=$(mktemp)
# Debian starts a Redis of its own on port 6379 when the package arrives: the benchmarks bring theirs, and nothing is left running.
policy=/usr/sbin/policy-rc.d
made_policy=0
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" && made_policy=1
fi
undo() { if [ "$made_policy" = 1 ]; then rm -f "$policy"; fi; rm -f "$log"; }
trap undo EXIT
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update && apt-get install -y --no-install-recommends redis-server; } >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo "setup: apt-get could not install redis-server: see above" >&2
  exit 1
fi
