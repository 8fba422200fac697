#!/usr/bin/env bash
# Runs the compiled tests by tap and ends with "N passed, N failed": run.sh all|fast [file…]
set -uo pipefail
cd "$(dirname "$0")/.."
mkdir -p .tap

case "${1:-all}" in
  all) folders=(dist/test) ;;
  # What needs neither a server nor a window's time.
  fast) folders=(dist/test/tree.js dist/test/vectors.js dist/test/window dist/test/protocol dist/test/checkpoint dist/test/actors dist/test/supervisor) ;;
  *) echo "usage: test/run.sh all|fast" >&2; exit 2 ;;
esac
shift || true

rc=0
if [ "${folders[0]}" = dist/test ]; then
  npx --no-install biome check . --reporter=summary || { echo "biome found something: see above (make format mends layout)"; rc=1; }
  npx --no-install eslint . || rc=1
fi
files=()
for folder in "${folders[@]}"; do
  [ -e "$folder" ] || continue
  while IFS= read -r file; do files+=("$file"); done < <(find "$folder" -name '*.js' -not -path '*/helpers/*' -not -path '*/fixtures/*' | sort)
done
[ $# -gt 0 ] && files=("$@")

# Long files first, so that the last one does not run alone.
node node_modules/tap/dist/esm/run.mjs run --disable-coverage --jobs=2 --timeout=300 -R tap -o .tap/last.tap "${files[@]}" >.tap/output 2>&1
tap=$?
grep -E '^not ok|^ {4}not ok|^# Subtest: .*' .tap/last.tap | grep -B1 'not ok' | head -60
[ $tap -ne 0 ] && grep -nE '^\s+not ok' .tap/last.tap | head -40 && tail -n 60 .tap/last.tap | head -100
counts=$(grep -E '^# \{ ' .tap/last.tap | tail -1)
count() { sed -nE "s/.*[{ ,]$1: ([0-9]+).*/\1/p" <<<"$counts"; }
passed=$(count pass); failed=$(count fail); skipped=$(($(count skip || echo 0) + 0))
passed=${passed:-0}; failed=${failed:-0}
# A crash at import, a hang or a runner error has no failed assertion of its own.
[ $tap -ne 0 ] && [ "$failed" -eq 0 ] && failed=1
[ $rc -ne 0 ] && failed=$((failed + 1))
grep -E '^\s*ok .* # SKIP' .tap/last.tap | sed 's/^\s*ok [0-9]* - /skipped: /' | sort -u | head -20
if [ "$skipped" -gt 0 ]; then echo "$passed passed, $failed failed, $skipped skipped"; else echo "$passed passed, $failed failed"; fi
[ "$failed" -eq 0 ]
