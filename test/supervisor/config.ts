import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { FINNEY_GENESIS } from '../../src/chain/subtensor.js'
import { packageRoot } from '../../src/package-root.js'
import { ConfigError } from '../../supervisor/config/config-error.js'
import { exampleText } from '../../supervisor/config/example.js'
import { loadConfig, pathFrom, readSecret } from '../../supervisor/config/load.js'
import { requireAccountsBucket } from '../../supervisor/config/read-credentials.js'
import { ENVIRONMENT_NAMES } from '../../supervisor/config/schema.js'
import { showConfig } from '../../supervisor/config/show.js'

const folder = mkdtempSync(join(tmpdir(), 'grail-config-'))
t.teardown(() => rmSync(folder, { recursive: true }))

function written(text: string, name = 'grail.toml'): string {
  const file = join(folder, name)
  writeFileSync(file, text)
  return file
}

t.test('an empty inventory has every default', t => {
  const { config, origins } = loadConfig(written(''), {})
  t.equal(config.chain.netuid, 81)
  t.equal(config.fleet.profile, 'grail-v5')
  t.equal(config.bucket.rehearsal, false, 'no bucket takes rehearsals unless told to')
  t.equal(origins.get('chain.netuid'), 'default')
  t.end()
})

t.test('the example is a valid inventory', t => {
  const without = exampleText({ mode: 'cpu', reason: 'there is no card' })
  t.match(
    without,
    /^# there is no card\. Here is a server with eight cards:$/m,
    'and says why it is one of eight cards',
  )
  const { config } = loadConfig(written(without), {})
  t.equal(config.hosts[0]?.generators.length, 8)
  const cards = [0, 1].map(index => ({ index, uuid: `GPU-${index}a`, name: 'NVIDIA H100', memoryMiB: 81_559 }))
  t.same(
    loadConfig(written(exampleText({ mode: 'gpu', gpus: cards })), {}).config.hosts[0]?.generators.map(g => g.gpus),
    [
      { generate: ['GPU-0a'], prove: [['GPU-0a']] },
      { generate: ['GPU-1a'], prove: [['GPU-1a']] },
    ],
    'with the cards of this machine, by UUID',
  )
  t.end()
})

t.test('the three lines of the README that name a chain are taken as they stand', t => {
  const readme = readFileSync(join(packageRoot, 'README.md'), 'utf8')
  const lines = readme.split('\n').filter(line => line.startsWith('endpoints = '))
  const named = lines.map(line => loadConfig(written(`[chain]\n${line}`), {}).config.chain)
  t.match(named, [
    { endpoints: ['wss://entrypoint-finney.opentensor.ai:443'] },
    { endpoints: ['wss://test.finney.opentensor.ai:443'] },
    { endpoints: ['ws://127.0.0.1:9944'] },
  ])
  const { config } = loadConfig(written(exampleText({ mode: 'cpu', reason: 'there is no card' })), {})
  t.equal(config.chain.genesis, FINNEY_GENESIS, 'the example refuses any chain but finney')
  t.end()
})

t.test('what is wrong is said in one sentence that names the place', t => {
  const cases: [string, string, RegExp][] = [
    ['an unknown key', '[bucket]\nnam = "x"', /unknown key bucket\.nam\b/],
    ['an unknown section', '[buckets]\nname = "x"', /unknown key buckets/],
    [
      'an unknown key of a generator',
      '[[hosts]]\nname = "a"\n[[hosts.generators]]\ngpu = 1',
      /hosts\.0\.generators\.0\.gpu/,
    ],
    [
      'an unknown key of gpus',
      '[[hosts]]\nname = "a"\ngenerators = [{ gpus = { generate = [0], proof = [1] } }]',
      /hosts\.0\.generators\.0\.gpus\.proof/,
    ],
    ['a card that is none', '[[hosts]]\nname = "a"\ngenerators = [{ gpus = ["cuda:0"] }]', /a card is a number.*UUID/],
    [
      'provers without a card to generate on',
      '[[hosts]]\nname = "a"\ngenerators = [{ gpus = { generate = [], prove = [1] } }]',
      /need at least one card each/,
    ],
    [
      'a card that generates twice',
      '[[hosts]]\nname = "a"\ngenerators = [{ gpus = [0] }, { gpus = [1, 0] }]',
      /card 0 is to generate for two generators/,
    ],
    [
      'a card that generates for one and proves for another',
      '[[hosts]]\nname = "a"\ngenerators = [{ gpus = { generate = [1], prove = [0] } }, { gpus = [0] }]',
      /card 0 is to generate for generator 1 and to prove for generator 0, which would not find the memory/,
    ],
    ['a card listed twice', '[[hosts]]\nname = "a"\ngenerators = [{ gpus = [0, 0] }]', /card 0 is listed twice/],
    [
      'a number of cards that nobody reads',
      '[[hosts]]\nname = "a"\ncards = 4\ngenerators = [{ gpus = [0] }]',
      /hosts\.0\.cards: the number of cards is for a preset/,
    ],
    ['cores that are none', '[[hosts]]\nname = "a"\ngenerators = [{ cores = "0 to 7" }]', /written like 0-7,64-71/],
    ['an unknown preset', '[[hosts]]\nname = "a"\npreset = "4B"', /hosts\.0\.preset/],
    ['a preset beside generators', '[[hosts]]\nname = "a"\npreset = "4b"\ngenerators = [{}]', /not both/],
    ['a preset for more cards', '[[hosts]]\nname = "a"\npreset = "30b"\ncards = 2', /"30b" needs 4 cards.* has 2/],
    ['an address that is none', '[chain]\nendpoints = ["finney"]', /chain\.endpoints\.0: .* wss:\/\//],
    ['a genesis that is none', '[chain]\ngenesis = "0x12"', /chain\.genesis: 0x and 64/],
    ['a wrong type', '[chain]\nnetuid = "x"', /chain\.netuid/],
    ['a value out of range', '[policy]\npart_bytes = 1000', /policy\.part_bytes/],
    ['a word that is none of the choices', '[engine]\nname = "vllm9"', /engine\.name/],
    ['broken TOML', '[chain\n', /grail\.toml:\d+:\d+ is not valid TOML/],
    ['a secret in the file', '[bucket]\nsecret_access_key = "s3cr3t"', /R2_WRITE_SECRET_ACCESS_KEY/],
  ]
  for (const [what, text, pattern] of cases) {
    const error = t.throws(() => loadConfig(written(text), {}), ConfigError, what)
    t.match((error as unknown as Error).message, pattern, what)
    t.notMatch((error as unknown as Error).message, /s3cr3t/, 'the secret is not repeated')
    t.notMatch((error as unknown as Error).message, /\n/, 'one line')
  }
  t.throws(() => loadConfig(join(folder, 'absent.toml'), {}), /there is no/)
  t.end()
})

t.test('presets are the layouts of the guide’s table for eight cards', t => {
  const of = (text: string) => loadConfig(written(`[[hosts]]\nname = "a"\n${text}`), {}).config.hosts[0]!.generators
  // Model size, workers, GPUs per worker, generation batch, as printed there.
  const table: [string, number, number, number][] = [
    ['4b', 8, 1, 8],
    ['8b', 8, 1, 4],
    ['14b', 4, 2, 4],
    ['30b', 2, 4, 2],
    ['70b', 1, 8, 1],
  ]
  for (const [preset, workers, cards, batch] of table) {
    const generators = of(`preset = "${preset}"`)
    t.same(
      [generators.length, ...new Set(generators.flatMap(g => [`${g.gpus.generate.length}/${g.batch}`]))],
      [workers, `${cards}/${batch}`],
      preset,
    )
    t.same(
      generators.flatMap(g => g.gpus.generate),
      [0, 1, 2, 3, 4, 5, 6, 7],
      'every card once',
    )
    t.ok(
      generators.every(g => g.gpus.prove.length === 1 && g.gpus.prove[0]!.join() === g.gpus.generate.join()),
      'proofs on the same cards, by one worker',
    )
  }
  t.match(of('preset = "8b-split"'), [{ gpus: { generate: [0, 1, 2, 3], prove: [[4], [5], [6], [7]] }, batch: 0 }])
  t.match(of('preset = "14b"\ncards = 5'), [{ gpus: { generate: [0, 1] } }, { gpus: { generate: [2, 3] } }])
  t.match(
    of('generators = [{ gpus = { generate = ["GPU-1", 2], prove = [3, [4, 5]] } }]'),
    [{ gpus: { generate: ['GPU-1', 2], prove: [[3], [4, 5]] }, batch: 0, cores: '' }],
    'and anything else can be written out',
  )
  const shared = 'generators = [{ gpus = { generate = [0], prove = [2] } }, { gpus = { generate = [1], prove = [2] } }]'
  t.equal(of(shared).length, 2, 'two generators may prove on one card')
  t.end()
})

t.test('the environment wins over the file, and empty variables say nothing', t => {
  const file = written('[chain]\nnetuid = 2\n[wallet]\nhot = "file"')
  const { config, origins } = loadConfig(file, {
    NETUID: '81',
    BT_WALLET_HOT: '',
    R2_BUCKET_ID: 'b',
    GRAIL_NATS_URL: 'nats://a:1, nats://b:2',
  })
  t.equal(config.chain.netuid, 81)
  t.equal(origins.get('chain.netuid'), 'environment NETUID')
  t.equal(config.wallet.hot, 'file')
  t.equal(config.bucket.name, 'b')
  t.same(config.nats.servers, ['nats://a:1', 'nats://b:2'])
  t.throws(() => loadConfig(file, { NETUID: 'many' }), /chain\.netuid/)
  t.end()
})

t.test('every value is shown with its origin, and no secret is', t => {
  const secrets = {
    R2_WRITE_SECRET_ACCESS_KEY: 'topsecret1',
    R2_READ_SECRET_ACCESS_KEY: 'topsecret2',
    GRAIL_NATS_PASSWORD: 'topsecret3',
  }
  const lines = showConfig(loadConfig(written('[fleet]\nname = "x"'), secrets))
  const text = lines.join('\n')
  t.match(text, /fleet\.name = "x" {2}# file/)
  t.match(text, /chain\.netuid = 81 {2}# default \(NETUID overrides\)/)
  t.match(text, /bucket\.secret_access_key = "\*{8}" {2}# environment R2_WRITE_SECRET_ACCESS_KEY/)
  t.notMatch(text, /topsecret/)
  for (const key of new Set(Object.values(ENVIRONMENT_NAMES))) t.ok(text.includes(`${key} = `), `${key} is a key`)
  t.end()
})

t.test('a secret file is for its owner only and not empty', t => {
  const file = written('hidden\n', 'secret')
  chmodSync(file, 0o644)
  t.throws(() => readSecret(file, 'nats.password_file'), /chmod 600/)
  chmodSync(file, 0o600)
  t.equal(readSecret(file, 'x'), 'hidden')
  t.throws(() => readSecret(join(folder, 'none'), 'x'), /cannot be read/)
  writeFileSync(file, '\n')
  t.throws(() => readSecret(file, 'x'), /is empty/)
  t.end()
})

t.test('paths of the inventory begin at its folder', t => {
  t.equal(pathFrom('/etc/grail', 'secrets/x'), '/etc/grail/secrets/x')
  t.equal(pathFrom('/etc/grail', '/opt/x'), '/opt/x')
  t.match(pathFrom('/etc/grail', '~/x'), /^\/.+\/x$/)
  t.end()
})

t.test('a real bucket is named like its account, or nobody reads it', t => {
  const bucket = (text: string) => () =>
    requireAccountsBucket(loadConfig(written(`[bucket]\n${text}`), {}).config.bucket)
  const R2 = 'endpoint = "https://0123456789abcdef.r2.cloudflarestorage.com"'
  t.throws(
    bucket('account_id = "a1"\nname = "windows"'),
    /the bucket is named 'windows', but .* 'a1': create that bucket/,
  )
  t.throws(bucket(`${R2}\nname = "windows"`), /'0123456789abcdef'/)
  t.doesNotThrow(bucket('account_id = "a1"\nname = "a1"'))
  t.doesNotThrow(bucket(`${R2}\nname = "0123456789abcdef"`))
  t.doesNotThrow(bucket('endpoint = "http://127.0.0.1:9000"\nname = "windows"'), 'another store has no account to tell')
  t.end()
})
