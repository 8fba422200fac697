#!/usr/bin/env bash
# Installs the local S3 server of supervisor/local-s3.py into .venv-s3. Does nothing when what is there was made from the
# same requirements by the same Python; starts over when an earlier run was cut short.
set -euo pipefail
cd "$(dirname "$0")/../.."

requirements=supervisor/setup/s3-requirements.txt
venv=$PWD/.venv-s3
python=${PYTHON:-python3}

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
  echo "setup: the local S3 server needs Python 3.10 or newer, found $("$python" --version 2>/dev/null || echo none): install python3, or name another one by PYTHON=" >&2
  exit 1
fi
if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
  echo "setup: $python has no venv: run 'apt-get install python3-venv' as root, then try again" >&2
  exit 1
fi

# Two at once (make up beside make test) would write into one folder: the second waits and finds the work done.
exec 9<"$requirements"
flock 9

wanted=$({ cat "$requirements"; "$python" -c 'import sys; print(sys.version, sys.base_prefix)'; echo "$venv"; } | sha256sum | cut -d' ' -f1)
[ "$(cat "$venv/stamp" 2>/dev/null)" = "$wanted" ] && exit 0

log=$(mktemp)
trap 'rm -f "$log"' EXIT
rm -rf "$venv"
if ! "$python" -m venv "$venv" >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo "setup: $python could not make the folder .venv-s3: see above" >&2
  exit 1
fi
echo '*' >"$venv/.gitignore"
if ! "$venv/bin/python" -m pip install --quiet --no-input --disable-pip-version-check -r "$requirements" >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo "setup: pip could not install $requirements: see above; is the package index reachable from this host?" >&2
  exit 1
fi
echo "$wanted" >"$venv/stamp"
