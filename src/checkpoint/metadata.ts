/** Sampling parameters of a checkpoint (one-covenant/grail grail/environments/backends/base.py:71-199, 54d6342). */
export interface GenerationParams {
  maxTokens: number
  temperature: number
  topP: number
  /** 0 = off */
  topK: number
  repetitionPenalty: number
}

export type ThinkingMode = 'instructed' | 'native'

/** The part of a checkpoint's metadata.json that decides what is mined (grail/infrastructure/checkpoint_consumer.py:85-115, 54d6342). */
export interface CheckpointMetadata {
  window: number
  modelName: string
  /** Lower-case; '' when the metadata carries none. */
  weightsHash: string
  environment: string
  environmentParams: Record<string, unknown>
  generation: GenerationParams
  thinkingMode: ThinkingMode
}

/** A checkpoint whose files lie in a local folder. */
export interface Checkpoint {
  metadata: CheckpointMetadata
  /** Folder with metadata.json, the tokenizer files and, for engines with weights, the weights. */
  folder: string
  /** Of the weights in the folder, computed of its files; absent or '' when nobody has. Lower-case hex. */
  weightsHash?: string
}
