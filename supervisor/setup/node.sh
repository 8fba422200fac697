#!/usr/bin/env bash
# Installs the locked npm packages and compiles the program. Each step runs only when what it depends on has changed.
set -euo pipefail
cd "$(dirname "$0")/../.."

major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)
if [ "$major" -lt 20 ]; then
  echo "setup: Node 20 or newer is needed, found $(node --version 2>/dev/null || echo none)" >&2
  exit 1
fi
mkdir -p .grail/setup
log=.grail/setup/node.log

stamp=.grail/setup/npm.sha256
wanted=$(cat package.json package-lock.json .taprc | sha256sum | cut -d' ' -f1)
if [ ! -d node_modules ] || [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
  if ! npm ci --no-fund --no-audit --loglevel=error >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "setup: npm ci failed: see above and $log" >&2
    exit 1
  fi
  # The test runner is built for the plugins that .taprc names.
  if ! node node_modules/tap/dist/esm/run.mjs build >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "setup: the test runner could not be built: see above and $log" >&2
    exit 1
  fi
  echo "$wanted" >"$stamp"
fi

stamp=.grail/setup/build.sha256
wanted=$(find src nats actors supervisor test tsconfig.json package-lock.json -type f \( -name '*.ts' -o -name '*.json' \) -print0 |
  sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1)
if [ ! -d dist ] || [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
  rm -rf dist
  if ! npx --no-install tsc -p . >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    echo "setup: the program does not compile: see above" >&2
    exit 1
  fi
  chmod +x dist/supervisor/main.js
  echo "$wanted" >"$stamp"
fi
