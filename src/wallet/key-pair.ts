export const PUBLIC_KEY_BYTES = 32

/** An sr25519 key pair. `secret` is in ed25519's form, as the wasm takes it: 32 bytes scalar · 8, 32 bytes for nonces. */
export interface KeyPair {
  publicKey: Uint8Array
  secret: Uint8Array
}
