#!/usr/bin/env bash
# Installs what only tests need into .venv-test: the independent reader of window files, and the checker of our own Python's
# types. Does nothing when it is there.
set -euo pipefail
cd "$(dirname "$0")/../.."

python=${PYTHON:-python3}
venv=.venv-test
wanted=$({ cat test/requirements.txt; "$python" --version; } | sha256sum | cut -d' ' -f1)
[ "$(cat "$venv/stamp" 2>/dev/null)" = "$wanted" ] && exit 0

log=$(mktemp)
trap 'rm -f "$log"' EXIT
rm -rf "$venv"
if ! { "$python" -m venv "$venv" && "$venv/bin/python" -m pip install --quiet --no-input --disable-pip-version-check -r test/requirements.txt; } >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo "setup: pip could not install test/requirements.txt: see above; is the package index reachable from this host?" >&2
  exit 1
fi
echo '*' >"$venv/.gitignore"
echo "$wanted" >"$venv/stamp"
