import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { type Log, systemClock } from '../actors/actor.js'
import type { AggregatorParts } from '../actors/aggregator/options.js'
import type { ControllerParts } from '../actors/controller/options.js'
import { ensureStreams } from '../actors/ensure.js'
import type { GeneratorParts } from '../actors/generator/generator.js'
import type { Workshop } from '../actors/generator/make-group.js'
import { PARTS, ROLLOUTS } from '../actors/streams.js'
import type { UploaderParts } from '../actors/uploader/options.js'
import { openStore } from '../nats/index.js'
import { type Bucket, BucketError } from '../src/bucket/bucket.js'
import { type Profile, profileOf } from '../src/protocol/profile.js'
import { windowRandomness } from '../src/protocol/randomness.js'
import { GROUP_SIZE } from '../src/window/group.js'
import type { HolePolicy } from '../src/window/holes.js'
import { logBroker } from './broker-log.js'
import { ConfigError } from './config/config-error.js'
import { type LoadedConfig, pathFrom } from './config/load.js'
import type { HostConfig } from './config/schema.js'
import { brokerOf, bucketOf, checkpointOf, profileFrom } from './from-inventory.js'
import { cardsOf } from './gpus.js'
import { openLog } from './log.js'
import { version } from './version.js'

// The only place where real chains, engines, buckets, wallets and clocks are put together.

/** Everything of the inventory that a process may need, opened when asked for. */
export interface Composition {
  loaded: LoadedConfig
  host: HostConfig
  signal: AbortSignal
}

/** The inventory's policy, unless the profile leaves no choice. */
const holesOf = ({ config }: LoadedConfig, profile: Profile): HolePolicy =>
  profile.contiguousGroups ? 'truncate' : config.policy.holes

const BOOT_BYTES = 4

async function actorParts({ loaded, host, signal }: Composition, role: string, instance: string) {
  const { config } = loaded
  const log = openLog(config.fleet.log_level, { actor: instance })
  const broker = await brokerOf(loaded, instance, signal, status => logBroker(log, status))
  const drift = await ensureStreams(broker, {
    replicas: config.nats.replicas,
    presenceMs: config.policy.presence_ms,
    leaseMs: config.policy.lease_ms,
    signal,
  })
  for (const { name, field, wanted, actual, outcome } of drift)
    log.warn({ name, field, wanted, actual, outcome }, 'the broker keeps this otherwise than wanted')
  log.info({ role, host: host.name, version, server: broker.info.version }, 'started')
  return {
    broker,
    log,
    clock: systemClock,
    random: Math.random,
    instance,
    boot: randomBytes(BOOT_BYTES).toString('hex'),
    version,
    host: host.name,
  }
}

export async function controllerParts(of: Composition): Promise<ControllerParts> {
  const { config } = of.loaded
  const profile = profileFrom(of.loaded)
  const common = await actorParts(of, 'controller', `controller-${of.host.name}`)
  const { openChain } = await import('../src/chain/polkadot.js')
  const { watchRegistration } = await import('../src/chain/registration.js')
  const { notRegistered } = await import('../src/chain/commit.js')
  const chain = openChain({
    endpoints: config.chain.endpoints,
    ...(config.chain.genesis === '' ? {} : { genesis: config.chain.genesis }),
    stallMs: config.chain.stall_ms,
  })
  const { openTrainer } = await import('./trainer.js')
  const trainer =
    config.checkpoint.source === 'trainer' &&
    openTrainer(of.loaded, profile, question => question(asked => chain.link(asked)))
  const cap = Math.ceil(profile.uniqueCapPerWindow / GROUP_SIZE)
  return {
    ...common,
    profile,
    chain,
    rollouts: openStore(common.broker, ROLLOUTS),
    parts: openStore(common.broker, PARTS),
    checkpoint: async (window, aborted) => {
      const found = trainer ? await trainer.source.latest(window, aborted) : await checkpointOf(of.loaded, profile)
      return typeof found === 'string' ? found : found.metadata
    },
    registration: (ss58, aborted) =>
      watchRegistration({
        link: linkSignal => chain.link(linkSignal),
        secondLink: linkSignal => chain.secondLink(linkSignal),
        netuid: config.chain.netuid,
        ss58,
        everyMs: config.chain.registration_ms,
        signal: aborted,
      }),
    remedy: ss58 => notRegistered(config.chain.netuid, ss58).message,
    randomness: async (hash, aborted) => {
      const { beaconOf } = await import('../src/chain/beacon.js')
      const found = await beaconOf(hash, {
        bases: config.chain.drand,
        link: linkSignal => chain.link(linkSignal),
        signal: aborted,
      })
      if (found.passedOver.length > 0)
        common.log.debug({ source: found.source, passedOver: found.passedOver }, 'randomness')
      return found.randomness
    },
    maxGroups: config.policy.max_groups === 0 ? cap : config.policy.max_groups,
    firstTailMs: config.policy.first_tail_ms,
    leaseMs: config.policy.lease_ms,
    replicas: config.nats.replicas,
    say: line => process.stdout.write(`${line}\n`),
  }
}

/** A canary takes no longer than this, ms: one group of 256 tokens, and sixteen replays, on a slow GPU. */
const CANARY_MS = 300_000

/** One group made, proved and replayed. Throws EngineError when the replay differs: such a GPU must not mine. */
async function sing(shop: Workshop, log: Log, signal: AbortSignal): Promise<void> {
  const { canary } = await import('../src/engine/canary.js')
  const { EngineError } = await import('../src/engine/engine.js')
  const { promptIds } = await import('../src/environment/tokenizer.js')
  const { coefficients } = await import('../src/protocol/coefficients.js')
  const { profile, metadata, engine, environment, tokenizer } = shop
  const verdict = await canary(
    engine,
    {
      profile,
      checkpointWindow: metadata.window,
      generation: metadata.generation,
      promptIds: promptIds(tokenizer, environment.problem(metadata.window), metadata.thinkingMode),
      coefficients: coefficients(profile, windowRandomness(metadata.modelName)),
      deadlineMs: Date.now() + CANARY_MS,
    },
    signal,
  )
  if (!verdict.ok) throw new EngineError(`the canary failed: ${verdict.reason}`, 'never')
  log.info({ checkpoint: metadata.window }, 'the canary sang: a group was replayed exactly')
}

export async function generatorParts(of: Composition, number: number): Promise<GeneratorParts> {
  const { loaded, host, signal } = of
  const { config, folder } = loaded
  const profile = profileFrom(loaded)
  const generator = host.generators[number]
  if (!generator)
    throw new ConfigError(`host ${host.name} has no generator ${number}: it has ${host.generators.length} of them`)
  const common = await actorParts(of, 'generator', `generator-${host.name}-${number}`)
  const { engineOf, lanesOf } = await import('./engines.js')
  const { openEnvironment } = await import('../src/environment/index.js')
  const { loadTokenizer } = await import('../src/environment/tokenizer.js')
  const log = common.log
  const engine = await engineOf(loaded, { profile, instance: common.instance, log, env: process.env, generator })
  const { generatorCheckpoint } = await import('./trainer.js')
  const { broker, instance } = common
  const checkpoint: GeneratorParts['checkpoint'] =
    config.checkpoint.source === 'folder'
      ? () => checkpointOf(loaded, profile)
      : generatorCheckpoint(loaded, profile, { log, broker, instance, host: host.name })
  let started = false
  return {
    ...common,
    gpus: cardsOf(generator).map(String),
    lanes: lanesOf(config.engine),
    rollouts: openStore(common.broker, ROLLOUTS),
    holes: holesOf(loaded, profile),
    checkpoint,
    engineStatus: () => engine.status?.(),
    close: () => engine.close(),
    workshop: async (checkpoint, aborted) => {
      const { metadata } = checkpoint
      const tokenizer = await loadTokenizer(checkpoint.folder)
      const environment = await openEnvironment(metadata.environment, {
        params: metadata.environmentParams,
        stateFolder: join(pathFrom(folder, config.fleet.state), 'datasets'),
        ...(config.environment.datasets === '' ? {} : { datasetFolder: pathFrom(folder, config.environment.datasets) }),
        ...(config.environment.python === '' ? {} : { python: pathFrom(folder, config.environment.python) }),
        warn: message => log.warn({ environment: metadata.environment }, message),
        signal,
      })
      try {
        const facts = started ? await engine.load(checkpoint, aborted) : await engine.start(checkpoint, aborted)
        started = true
        log.info({ engine: engine.name, checkpoint: metadata.window, model: facts.modelName }, 'engine ready')
        const shop = { profile, metadata, engine, facts, environment, tokenizer }
        if (config.engine.canary && !engine.rehearsal) await sing(shop, log, aborted)
        return shop
      } catch (error) {
        // Loads are tried again: each has judges of its own.
        await environment.close()
        throw error
      }
    },
  }
}

export async function aggregatorParts(of: Composition): Promise<AggregatorParts> {
  const { config, folder } = of.loaded
  const profile = profileFrom(of.loaded)
  const { loadHotkey } = await import('../src/wallet/wallet.js')
  // The key first: without it there is no use in connecting.
  const hotkey = await loadHotkey({
    path: pathFrom(folder, config.wallet.path),
    cold: config.wallet.cold,
    hot: config.wallet.hot,
    ...(config.wallet.password_file === '' ? {} : { passwordFile: pathFrom(folder, config.wallet.password_file) }),
    signal: of.signal,
  })
  const common = await actorParts(of, 'aggregator', `aggregator-${of.host.name}`)
  return {
    ...common,
    hotkey,
    profile,
    holes: holesOf(of.loaded, profile),
    partBytes: config.policy.part_bytes,
    rollouts: openStore(common.broker, ROLLOUTS),
    parts: openStore(common.broker, PARTS),
    leaseMs: config.policy.lease_ms,
  }
}

/** A bucket that will never take anything (absent, wrong key) is found out now, not at the end of a window. */
async function probe(bucket: Bucket, log: Log, signal: AbortSignal): Promise<void> {
  try {
    await bucket.head('grail/windows/probe', signal)
  } catch (error) {
    if (!(error instanceof BucketError) || error.next === 'never') throw error
    log.warn({ place: bucket.place, err: error }, 'the bucket does not answer yet')
  }
}

export async function uploaderParts(of: Composition): Promise<UploaderParts> {
  const { config } = of.loaded
  const bucket = await bucketOf(of.loaded)
  const common = await actorParts(of, 'uploader', `uploader-${of.host.name}`)
  await probe(bucket, common.log, of.signal)
  return {
    ...common,
    bucket,
    parts: openStore(common.broker, PARTS),
    takesRehearsals: config.bucket.rehearsal,
    mayUpload: profile => profileOf(profile).mayUpload,
    leaseMs: config.policy.lease_ms,
  }
}
