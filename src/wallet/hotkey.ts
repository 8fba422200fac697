/** The fleet's signing key. Only the aggregator's host has one. The secret never leaves the object. */
export interface Hotkey {
  readonly ss58: string
  /** 32 bytes */
  readonly publicKey: Uint8Array
  /** sr25519 over the raw bytes, context `substrate`; 64 bytes; randomised. */
  sign(message: Uint8Array): Uint8Array
}
