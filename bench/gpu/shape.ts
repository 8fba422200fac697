/** A model as transformers' config.json names its parts, with the length of its benchmark's completions. */
export interface Shape {
  name: string
  /** Of the model_type's config; everything not named is that type's default. */
  config: Record<string, unknown> & {
    model_type: string
    vocab_size: number
    eos_token_id: number
    max_position_embeddings: number
  }
  /** Tokens a completion may have; random weights hardly ever end one earlier. */
  maxTokens: number
  promptTokens: number
}

/** Qwen3-4B, the size the guide calls the current default (Agile-Ascent-Limited/Grail docs/8xA100-MINING-GUIDE.md, 2a0410a). */
export const QWEN3_4B: Shape = {
  name: 'Qwen3-4B',
  config: {
    model_type: 'qwen3',
    vocab_size: 151_936,
    hidden_size: 2_560,
    intermediate_size: 9_728,
    num_hidden_layers: 36,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    head_dim: 128,
    max_position_embeddings: 40_960,
    rope_theta: 1_000_000,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: true,
    bos_token_id: 151_643,
    eos_token_id: 151_645,
    pad_token_id: 151_643,
  },
  maxTokens: 256,
  promptTokens: 300,
}

/** The longest completions the trainer asks for (one-covenant/grail trainer/checkpoint_publisher.py, 54d6342). */
export const LONG_TOKENS = 2_048
