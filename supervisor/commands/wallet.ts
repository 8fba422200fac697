import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { createRehearsalWallet, WalletError } from '../../src/wallet/wallet.js'
import type { CommandIo } from './io.js'

const USAGE = 'usage: grail wallet new [--path FOLDER] [--cold NAME] [--hot NAME]'

/**
 * `grail wallet new`: makes a hotkey for rehearsals. Values come from the flags, then BT_WALLET_PATH, BT_WALLET_COLD and
 * BT_WALLET_HOT, then bittensor's default folder and the names `rehearsal` and `default`.
 * @param args what follows `grail wallet`
 * @returns the exit code: 0 done, 1 refused, 2 wrong use
 */
export async function walletCommand(args: string[], io: CommandIo): Promise<number> {
  if (args.includes('--help')) {
    io.out(USAGE)
    return 0
  }
  const options = parse(args)
  if (!options) {
    io.err(USAGE)
    return 2
  }
  const path = resolve(options.path ?? io.env.BT_WALLET_PATH ?? join(homedir(), '.bittensor', 'wallets'))
  const cold = options.cold ?? io.env.BT_WALLET_COLD ?? 'rehearsal'
  const hot = options.hot ?? io.env.BT_WALLET_HOT ?? 'default'
  try {
    const { ss58, file } = await createRehearsalWallet(path, { cold, hot })
    io.out(ss58)
    io.err(
      `wrote ${file}: a hotkey for rehearsals. It has no coldkey and no backup; mine with one made by 'btcli wallet create'.`,
    )
    return 0
  } catch (error) {
    if (!(error instanceof WalletError) && !(error instanceof Error && 'code' in error)) throw error
    io.err((error as Error).message)
    return 1
  }
}

function parse(args: string[]): { path?: string; cold?: string; hot?: string } | undefined {
  try {
    const string = { type: 'string' } as const
    const { values, positionals } = parseArgs({
      args,
      options: { path: string, cold: string, hot: string },
      allowPositionals: true,
    })
    return positionals.length === 1 && positionals[0] === 'new' ? values : undefined
  } catch {
    return undefined
  }
}
