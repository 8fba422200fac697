import type { Gpu, GpuInventory } from '../../src/engine/gpus.js'

/** Everything of the example but its host. */
const FLEET = `# One file for the whole fleet. Paths are relative to this file. Unknown keys are errors; "grail config" prints every value
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
`

const NO_CARDS = `[[hosts]]
name = "gpu1"
roles = ["controller", "aggregator", "uploader"]
preset = "4b"                              # eight generators with a card each; or 8b, 14b, 30b, 70b, 8b-split
# Instead of a preset, card by card. What a list names generates and proves; cores and NUMA node are found out.
# generators = [{ gpus = [0] }, { gpus = { generate = [1, 2], prove = [3] } }]
`

/** A generator for each card, by UUID: their numbers change when a card is added or drops out. */
function hostText(gpus: readonly Gpu[]): string {
  const generators = gpus.map(({ uuid, index, name }) => `  { gpus = ["${uuid}"] },   # GPU ${index}: ${name}`)
  return `[[hosts]]
name = "gpu1"
roles = ["controller", "aggregator", "uploader"]
# A model that needs several cards: { gpus = ["GPU-…", "GPU-…"] }, or preset = "14b" (30b, 70b, 8b-split) in place of this list.
generators = [
${generators.join('\n')}
]
`
}

/** A whole inventory of one GPU server, to start from: `grail config --example`. */
export function exampleText(found: GpuInventory): string {
  const host =
    found.mode === 'gpu' ? hostText(found.gpus) : `# ${found.reason}. Here is a server with eight cards:\n${NO_CARDS}`
  return `${FLEET}\n${host}`
}
