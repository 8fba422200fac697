import type { ThinkingMode } from '../checkpoint/metadata.js'

/** What a thinking mode decides: tags the model is told to write, and the system message that tells it. */
export interface Thinking {
  openTag: string
  /** The tag that marks a completion as reasoned; in `instructed` mode its words differ from the opening tag's. */
  closeTag: string
  systemPrompt: string
  /** Does the trainer save its own ChatML template with the tokenizer? A miner never installs one. */
  customTemplate: boolean
  /** Is the template called with enable_thinking=True? */
  enableThinking: boolean
}

export const SOLUTION_OPEN = '<SOLUTION>'
export const SOLUTION_CLOSE = '</SOLUTION>'

/** System messages enter the token sequence: not a byte may change (sha256 in protocol.md §2.4). */
const AFTER_THINKING = [
  'You may write and reason about code during your thinking.',
  'After thinking, you MUST provide your final solution wrapped in <SOLUTION> and </SOLUTION> tags.',
  'Any code outside <SOLUTION> tags will be ignored. Your answer will score 0 without these tags.',
]
const FIRST_LINE = 'You are given a problem. Think step by step.'

/** Source: one-covenant/grail grail/shared/thinking.py, 54d6342. */
export const THINKING: Record<ThinkingMode, Thinking> = {
  instructed: {
    openTag: '<start_working_out>',
    closeTag: '</end_working_out>',
    systemPrompt: [
      FIRST_LINE,
      'Place your reasoning between <start_working_out> and </end_working_out>.',
      ...AFTER_THINKING,
    ].join('\n'),
    customTemplate: true,
    enableThinking: false,
  },
  native: {
    openTag: '<think>',
    closeTag: '</think>',
    systemPrompt: [FIRST_LINE, ...AFTER_THINKING].join('\n'),
    customTemplate: false,
    enableThinking: true,
  },
}

export interface ChatMessage {
  role: string
  content: string
}

/** Puts the mode's system message in front unless the first message is one (grail/shared/chat_templates.py:24-32, 54d6342). */
export function withSystemMessage(messages: readonly ChatMessage[], mode: ThinkingMode): ChatMessage[] {
  if (messages[0]?.role === 'system') return [...messages]
  return [{ role: 'system', content: THINKING[mode].systemPrompt }, ...messages]
}
