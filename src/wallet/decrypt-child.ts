// The process that decrypts one hotkey file and ends: argon2's 512 MiB must not stay in an actor. The file and the
// password come over the IPC channel, never as arguments or environment, and the answer goes back the same way.
import { decrypt } from './decrypt.js'

export interface DecryptRequest {
  file: Uint8Array
  encryption: 'nacl' | 'ansible'
  password: string
}

export interface DecryptAnswer {
  /** Absent when the password does not open the file. */
  clear?: Uint8Array
}

process.once('message', (request: DecryptRequest) => {
  decrypt(request.file, request.encryption, request.password).then(
    clear => {
      process.send?.({ clear } satisfies DecryptAnswer, () => process.disconnect())
    },
    () => process.exit(1),
  )
})
