#!/usr/bin/env bash
# Types of our own Python, by mypy: nine seconds, less than one when nothing has changed since. The worker's are checked where the
# libraries are that it is written for.
set -euo pipefail
cd "$(dirname "$0")/.."

files=(src/environment/python/*.py)
of=()
if [ -e .venv/stamp ]; then
  files+=(src/engine/worker/*.py)
  of=(--python-executable .venv/bin/python)
else
  echo "types of the worker's Python are not checked: .venv is absent, supervisor/setup/python.sh makes it"
fi
.venv-test/bin/mypy --config-file test/mypy.ini --cache-dir .tap/mypy --no-error-summary "${of[@]}" "${files[@]}"
