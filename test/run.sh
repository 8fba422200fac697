#!/usr/bin/env bash
# Runs the compiled tests by tap and ends with "N passed, N failed": run.sh all|fast [file…]
set -uo pipefail
cd "$(dirname "$0")/.."
mkdir -p .tap

left_out=()
case "${1:-all}" in
  all) folders=(dist/test) ;;
  # What needs neither a server nor a window's time, nor dozens of processes that are killed.
  fast)
    left_out=(-not -path '*/checkpoint/cut.js' -not -path '*/checkpoint/cache.js' -not -path '*/checkpoint/file-lock.js')
    folders=(dist/test/tree.js dist/test/vectors.js dist/test/window dist/test/protocol dist/test/checkpoint dist/test/actors dist/test/supervisor)
    ;;
  *) echo "usage: test/run.sh all|fast [file…]" >&2; exit 2 ;;
esac
what=$1
shift

others=0
if [ "$what" = all ] && [ $# -eq 0 ]; then
  npx --no-install biome check . || { echo "FAILED format and lint: 'make format' mends what can be mended"; others=$((others + 1)); }
  npx --no-install eslint . || { echo "FAILED lint: promises nobody waits for"; others=$((others + 1)); }
fi

files=("$@")
if [ ${#files[@]} -eq 0 ]; then
  # Files with processes and windows first, so that none of them runs alone at the end.
  for folder in dist/test/fault dist/test/journey dist/test/contract "${folders[@]}"; do
    [ "$what" = fast ] && case "$folder" in dist/test/fault | dist/test/journey | dist/test/contract) continue ;; esac
    [ -e "$folder" ] || continue
    while IFS= read -r file; do
      [[ " ${files[*]-} " == *" $file "* ]] || files+=("$file")
    done < <(find "$folder" -name '*.js' -not -path '*/helpers/*' -not -path '*/fixtures/*' "${left_out[@]}" | sort)
  done
fi

# No file takes five minutes; one that does hangs. A line per file as it ends; all the rest is in .tap/last.tap.
node node_modules/tap/dist/esm/run.mjs run --disable-coverage --jobs=2 --timeout=300 -R tap -o .tap/last.tap "${files[@]}" |
  awk '/^(not )?ok [0-9]+ - dist\// && !said[$0]++ { print; fflush() }'
node dist/test/helpers/report.js .tap/last.tap "${PIPESTATUS[0]}" "$others"
