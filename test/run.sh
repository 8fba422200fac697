#!/usr/bin/env bash
# Runs the compiled tests by tap and ends with "N passed, N failed": run.sh all|fast [file…]
set -uo pipefail
cd "$(dirname "$0")/.."
mkdir -p .tap

left_out=()
case "${1:-all}" in
  all) folders=(dist/test) ;;
  # What needs neither a server nor a window's time, nor processes by the dozen.
  fast)
    for file in checkpoint/{cut,cache,file-lock} supervisor/{cli,cluster,commitment,trainer,trainer-bucket}; do
      left_out+=(-not -path "*/$file.js")
    done
    folders=(dist/test/tree.js dist/test/vectors.js dist/test/window dist/test/protocol dist/test/checkpoint dist/test/actors dist/test/supervisor)
    ;;
  *) echo "usage: test/run.sh all|fast [file…]" >&2; exit 2 ;;
esac
what=$1
shift

# Layout and lint beside the tests: most of these wait for windows.
lint=""
if [ "$what" = all ] && [ $# -eq 0 ]; then
  (
    faults=0
    npx --no-install biome check . || { echo "FAILED format and lint: 'make format' mends what can be mended"; faults=$((faults + 1)); }
    npx --no-install eslint . || { echo "FAILED lint: promises nobody waits for"; faults=$((faults + 1)); }
    bash test/python-types.sh || { echo "FAILED types of our own Python"; faults=$((faults + 1)); }
    exit "$faults"
  ) >.tap/lint.log 2>&1 &
  lint=$!
fi

files=("$@")
if [ ${#files[@]} -eq 0 ]; then
  for folder in "${folders[@]}"; do
    while IFS= read -r file; do
      files+=("$file")
    done < <(find "$folder" -name '*.js' -not -path '*/helpers/*' -not -path '*/fixtures/*' "${left_out[@]}" | sort)
  done
fi

# No file takes five minutes; one that does hangs. A line per file as it ends, and what failed in it at once; all the rest is in
# .tap/last.tap. Three at a time keep two cores busy.
node node_modules/tap/dist/esm/run.mjs run --disable-coverage --jobs=3 --timeout=300 -R tap -o .tap/last.tap "${files[@]}" |
  awk '$0 == last { next } # tap says every line twice
    { last = $0 }
    /^(not )?ok [0-9]+ - dist\// { if (!said[$0]++) print; more = 0; fflush(); next }
    /^ +not ok / { more = 20 }
    more > 0 { print substr($0, 1, 300); more--; fflush() }'
runner=${PIPESTATUS[0]}
others=0
if [ -n "$lint" ]; then
  wait "$lint" || others=$?
  cat .tap/lint.log
fi
node dist/test/helpers/report.js .tap/last.tap "$runner" "$others"
