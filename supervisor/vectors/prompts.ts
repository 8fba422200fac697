import { createHash } from 'node:crypto'
import type { ThinkingMode } from '../../src/checkpoint/metadata.js'
import { compileChatTemplate, INSTRUCTED_TEMPLATE } from '../../src/environment/chat-template.js'
import { FORK_SYSTEM_PROMPT, FORK_TEMPLATE } from '../../src/environment/fork-template.js'
import { satPrompt } from '../../src/environment/sat-problem.js'
import { SOLUTION_CLOSE, SOLUTION_OPEN, THINKING, withSystemMessage } from '../../src/environment/thinking.js'
import { tritonPrompt } from '../../src/environment/triton-kernel.js'
import { TRITON_PROMPT } from '../../src/environment/triton-prompt.js'
import { type Check, type Checks, same } from './check.js'
import { parsePythonLiteral } from './python-literal.js'

const chatTemplate: Check = (file, index) => {
  const { kind, mode, ...expected } = file.cases[index]
  const thinking = THINKING[mode as ThinkingMode]
  if (kind === 'config')
    return same(
      {
        thinking_open: thinking.openTag,
        thinking_close: thinking.closeTag,
        solution_open: SOLUTION_OPEN,
        solution_close: SOLUTION_CLOSE,
        system_prompt: thinking.systemPrompt,
        use_custom_template: thinking.customTemplate,
        enable_thinking: thinking.enableThinking,
      },
      expected,
    )
  if (kind === 'template') return same({ jinja: INSTRUCTED_TEMPLATE }, expected)
  const prepared = withSystemMessage(expected.messages, mode)
  const got: Record<string, unknown> = { messages: expected.messages, prepared }
  if (kind === 'prepare')
    got.apply_kwargs = {
      tokenize: false,
      add_generation_prompt: true,
      ...(thinking.enableThinking && { enable_thinking: true }),
    }
  else
    got.rendered = compileChatTemplate(INSTRUCTED_TEMPLATE, () => new Date(0))(prepared, {
      add_generation_prompt: true,
    })
  return same(got, expected)
}

const chatTemplateFork: Check = (file, index) =>
  same({ system_prompt: FORK_SYSTEM_PROMPT, jinja: FORK_TEMPLATE }, file.cases[index])

function promptText(name: string): string {
  const mode = /^system_prompt\/(instructed|native)$/.exec(name)?.[1]
  if (mode) return THINKING[mode as ThinkingMode].systemPrompt
  if (name.startsWith('triton_kernel/prompt_template')) return TRITON_PROMPT
  const code = /^triton_kernel\/rendered with pytorch_code=(.*)$/s.exec(name)?.[1]
  if (code !== undefined) return tritonPrompt(parsePythonLiteral(code) as string)
  const sat = /^sat\/prompt for num_vars=(\d+) clauses=(.*) seed='(\d+)'$/.exec(name)
  if (sat) return satPrompt({ variables: Number(sat[1]), clauses: JSON.parse(sat[2]!), seed: sat[3]! })
  throw new Error(`unknown prompt "${name}"`)
}

const promptTexts: Check = (file, index) => {
  const { name, ...expected } = file.cases[index]
  const text = promptText(name)
  const sha256 = createHash('sha256').update(text).digest('hex')
  return same({ text, utf8_len: Buffer.byteLength(text), sha256 }, expected)
}

/** Prompt texts and chat templates, byte for byte. */
export const promptChecks: Checks = {
  'chat_template.json': chatTemplate,
  'chat_template_fork.json': chatTemplateFork,
  'prompt_texts.json': promptTexts,
}
