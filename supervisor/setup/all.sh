#!/usr/bin/env bash
# Everything a clone needs, at once and with a word about each: all.sh [engine]
set -uo pipefail
cd "$(dirname "$0")/../.."
here=supervisor/setup

steps=(system node s3-server)
[ "${1:-rehearsal}" = transformers ] && steps+=(python)
declare -A title=([system]='nats-server, supervisord, numactl' [node]='npm packages, compiled program'
  [s3-server]='local S3 server' [python]='Python with the model libraries')

step() {
  local began=$SECONDS
  if bash "$here/$1.sh"; then echo "  ok    ${title[$1]} ($((SECONDS - began)) s)"; else echo "  FAIL  ${title[$1]}" >&2; return 1; fi
}

echo "setting up:"
for name in "${steps[@]}"; do echo "  ...   ${title[$name]}"; done
# The system's packages come first: the Python steps may need one of them. The others do not know each other.
step system || exit 1
pids=()
for name in "${steps[@]}"; do
  [ "$name" = system ] && continue
  step "$name" &
  pids+=($!)
done
failed=0
for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
exit "$failed"
