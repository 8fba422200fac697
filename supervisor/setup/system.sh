#!/usr/bin/env bash
# Installs what the fleet runs on: nats-server, supervisord, numactl, Python's venv, and libsodium, with which signatures take a quarter
# of their time. Does nothing when they are there.
set -euo pipefail

declare -A package=([nats-server]=nats-server [supervisord]=supervisor [numactl]=numactl)
missing=()
for program in nats-server supervisord numactl; do
  command -v "$program" >/dev/null 2>&1 || [ -x "/usr/sbin/$program" ] || missing+=("${package[$program]}")
done
if ! command -v python3 >/dev/null 2>&1; then missing+=(python3 python3-venv)
elif ! python3 -c 'import ensurepip, venv' >/dev/null 2>&1; then missing+=(python3-venv); fi
# Without it WebAssembly signs: where it cannot be installed, nobody is asked for it.
sodium=()
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
  /sbin/ldconfig -p | grep 'libsodium\.so\.2[36]' >/dev/null || sodium=(libsodium23)
fi
[ ${#missing[@]} -eq 0 ] && [ ${#sodium[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null 2>&1; then
  echo "setup: this host lacks ${missing[*]} and has no apt-get: install them by its own package manager, then run make again" >&2
  exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "setup: this host lacks ${missing[*]}: run 'sudo apt-get install --no-install-recommends ${missing[*]}', then run make again" >&2
  exit 1
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
# Debian starts a nats-server of its own on port 4222 and a supervisord of its own when the packages arrive: the fleet brings
# both with its own configuration, so nothing is started here unless the host already has a policy for it.
policy=/usr/sbin/policy-rc.d
made_policy=0
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" && made_policy=1
fi
undo() { if [ "$made_policy" = 1 ]; then rm -f "$policy"; fi; rm -f "$log"; }
trap undo EXIT
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update && apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 && [ ${#missing[@]} -gt 0 ]; then
  tail -n 20 "$log" >&2
  echo "setup: apt-get could not install ${missing[*]}: see above" >&2
  exit 1
fi
if [ ${#sodium[@]} -gt 0 ] && ! apt-get install -y --no-install-recommends "${sodium[@]}" >"$log" 2>&1; then
  echo "setup: apt-get could not install ${sodium[*]}: signatures will take four times as long" >&2
fi
