#!/usr/bin/env bash
# Everything a clone needs, at once and with a word about each: all.sh [rehearsal|transformers|test]
set -uo pipefail
cd "$(dirname "$0")/../.."
here=supervisor/setup

declare -A title=([system]='nats-server, supervisord, numactl' [node]='npm packages, compiled program'
  [s3-server]='local S3 server' [python]='Python with the model libraries (some gigabytes)' [test-python]='independent reader of window files, mypy')
steps=(node s3-server)
case "${1:-rehearsal}" in
  rehearsal) ;;
  transformers) steps+=(python) ;;
  test)
    steps+=(test-python)
    # The model libraries take about 4 GB, twice that while they are installed. Tests that need them say so when they are absent.
    free=$(df -Pm . | awk 'NR == 2 { print $4 }')
    if [ -e .venv/stamp ] || [ "${free:-0}" -ge 10000 ]; then steps+=(python); else
      echo "setup: ${free} MB are free here, the model libraries need 10000: tests of the worker will be skipped"
    fi
    ;;
  *) echo "usage: all.sh [rehearsal|transformers|test]" >&2; exit 2 ;;
esac

step() {
  local began=$SECONDS
  if bash "$here/$1.sh"; then echo "  ok    ${title[$1]} ($((SECONDS - began)) s)"; else
    echo "  FAIL  ${title[$1]}" >&2
    return 1
  fi
}

echo "setting up:"
for name in system "${steps[@]}"; do echo "  ...   ${title[$name]}"; done
# The system's packages come first: the Python steps may need one of them. The others do not know each other.
step system || exit 1
pids=()
for name in "${steps[@]}"; do
  step "$name" &
  pids+=($!)
done
failed=0
for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
exit "$failed"
