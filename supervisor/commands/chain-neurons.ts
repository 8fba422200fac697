import { readMetagraph, readNeurons } from '../../src/chain/reads.js'
import type { ChainVerb } from './chain-verb.js'

/** Rao per alpha or TAO. */
const RAO = 1e9

/** `grail chain neurons`: who is on the subnet. */
export async function neuronsVerb({ chain, loaded, io, json, signal }: ChainVerb): Promise<number> {
  const { netuid } = loaded.config.chain
  const link = await chain.link(signal)
  const metagraph = await readMetagraph(link, netuid, signal)
  if (!metagraph) {
    io.err(`there is no subnet ${netuid} on this chain: correct chain.netuid`)
    return 1
  }
  const neurons = await readNeurons(link, netuid, signal)
  if (json) {
    const rows = neurons.map(neuron => ({ ...neuron, stake: neuron.stake.toString() }))
    const { hotkeys, ...subnet } = metagraph
    io.out(JSON.stringify({ ...subnet, rows }))
    return 0
  }
  io.out(`subnet ${netuid} at block ${metagraph.block}: ${metagraph.neurons} of ${metagraph.maxNeurons} uids`)
  io.out(`${'uid'.padStart(4)}  ${'hotkey'.padEnd(48)}  ${'incentive'.padStart(9)}  ${'stake'.padStart(14)}  validator`)
  for (const { uid, hotkey, incentive, stake, validatorPermit } of neurons) {
    const share = `${(incentive * 100).toFixed(2)} %`.padStart(9)
    const alpha = (Number(stake) / RAO).toFixed(2).padStart(14)
    io.out(`${String(uid).padStart(4)}  ${hotkey.padEnd(48)}  ${share}  ${alpha}  ${validatorPermit ? 'yes' : 'no'}`)
  }
  return 0
}
