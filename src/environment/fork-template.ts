/** System prompt of the fork's profile (Agile-Ascent-Limited/Grail grail/shared/prompt_constants.py:22, c66a3e4). */
export const FORK_SYSTEM_PROMPT = [
  'You are given a problem.',
  'Think about the problem and provide your working out.',
  'Place it between <start_working_out> and </end_working_out>.',
  'Then, provide your code between <SOLUTION> and </SOLUTION>.',
].join('\n')

const turn = (role: string) =>
  `message['role'] == '${role}' %}{{ '<|im_start|>${role}\\n' + message['content'] + '<|im_end|>\\n' }}`

/** The fork's ChatML template, with its system prompt baked in (grail/shared/chat_templates.py:29, c66a3e4). Only for reading old files. */
export const FORK_TEMPLATE = [
  "{% if messages[0]['role'] == 'system' %}{{ '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}",
  `{% set loop_messages = messages[1:] %}{% else %}{{ '<|im_start|>system\\n${FORK_SYSTEM_PROMPT}<|im_end|>\\n' }}`,
  `{% set loop_messages = messages %}{% endif %}{% for message in loop_messages %}{% if ${turn('user')}`,
  `{% elif ${turn('assistant')}{% endif %}{% endfor %}`,
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
].join('')
