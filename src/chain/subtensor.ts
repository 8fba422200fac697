/** Name of the runtime of finney, the test network and every local subtensor node. */
export const SPEC_NAME = 'node-subtensor'

/** Hash of block 0 of finney, the main network. */
export const FINNEY_GENESIS = '0x2f0555cc76fc2840a25a6ea3b9637146806f1f44b090c175ffde2a7e5ab36c03'
