/** A whole inventory of one 8-GPU server, to start from: `grail config --example`. */
export const EXAMPLE = `# One file for the whole fleet. Paths are relative to this file. Unknown keys are errors; "grail config" prints every value
# with its origin. The environment wins: BT_WALLET_COLD, R2_BUCKET_ID, … (listed by "grail config").

[fleet]
name = "grail"
profile = "grail-v5"
state = "/var/lib/grail"

[nats]
servers = ["nats://127.0.0.1:4222"]        # three servers for replicas = 3, listed by their hosts' names
user = "grail"
password_file = "secrets/nats"             # mode 0600
replicas = 1

[chain]
endpoints = ["wss://entrypoint-finney.opentensor.ai:443", "wss://lite.sub.latent.to:443"]
genesis = "0x2f0555cc76fc2840a25a6ea3b9637146806f1f44b090c175ffde2a7e5ab36c03"
netuid = 81

[wallet]                                   # read by the aggregator's host only
cold = "default"
hot = "default"

[bucket]                                   # Cloudflare R2: the bucket's name must be the account id
kind = "s3"
account_id = "0123456789abcdef0123456789abcdef"
name = "0123456789abcdef0123456789abcdef"
access_key_id = "0123456789abcdef0123456789abcdef"
secret_access_key_file = "secrets/r2-write" # mode 0600

[checkpoint]
folder = "checkpoint"

[engine]
name = "transformers"
python = "/opt/grail/.venv/bin/python"

[policy]
holes = "keep"

[[hosts]]
name = "gpu1"
roles = ["controller", "aggregator", "uploader"]
generators = [
  { gpus = [0], numa = 0 }, { gpus = [1], numa = 0 }, { gpus = [2], numa = 0 }, { gpus = [3], numa = 0 },
  { gpus = [4], numa = 1 }, { gpus = [5], numa = 1 }, { gpus = [6], numa = 1 }, { gpus = [7], numa = 1 },
]
`
