"""The part of an engine that holds tensors: generation, proofs and replays of one causal language model.

Started by its TypeScript parent (src/engine/transformers), spoken to in msgpack over HTTP on the loopback. It holds no
wallet, knows no environment and opens no connection of its own.
"""
