import { Environment, Interpreter, Template } from '@huggingface/jinja'
import type { ChatMessage } from './thinking.js'

const MONTHS = 'January February March April May June July August September October November December'.split(' ')
const DAYS = 'Sunday Monday Tuesday Wednesday Thursday Friday Saturday'.split(' ')

/**
 * The template that a trainer saves with the tokenizer in `instructed` mode: plain ChatML (grail/shared/chat_templates.py:35,
 * 54d6342). A miner takes whatever the checkpoint's files hold; this one is for checkpoints that rehearsals make.
 */
export const INSTRUCTED_TEMPLATE =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}" +
  "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"

/** A compiled chat template: messages and variables in, prompt text out. Throws when the template refuses them. */
export type ChatTemplate = (messages: readonly ChatMessage[], variables: Record<string, unknown>) => string

/**
 * Compiles a Jinja chat template as transformers does: blocks trimmed and left-stripped, `raise_exception` and
 * `strftime_now` at hand, tools and documents none. The one known difference to Python's Jinja: a template that prints a
 * bare boolean or none shows true and nothing where Python shows True and None.
 * @param now what strftime_now shows; templates with a date in them differ from day to day
 * @throws Error when the template does not parse
 */
export function compileChatTemplate(source: string, now: () => Date): ChatTemplate {
  const { parsed } = new Template(source)
  return (messages, variables) => {
    const environment = new Environment()
    const all: Record<string, unknown> = {
      false: false,
      true: true,
      none: null,
      False: false,
      True: true,
      None: null,
      range: pythonRange,
      raise_exception: (message: unknown) => {
        throw new Error(`the chat template refuses these messages: ${String(message)}`)
      },
      strftime_now: (format: string) => strftime(now(), format),
      tools: null,
      documents: null,
      ...variables,
      messages,
    }
    for (const [name, value] of Object.entries(all)) environment.set(name, value)
    const rendered = new Interpreter(environment).run(parsed) as { value: string }
    return rendered.value
  }
}

function pythonRange(first: number, end?: number, step = 1): number[] {
  const [from, to] = end === undefined ? [0, first] : [first, end]
  const list: number[] = []
  for (let i = from; step > 0 ? i < to : i > to; i += step) list.push(i)
  return list
}

/** Python's datetime.strftime in the C locale and local time, for the directives that chat templates use; others stay as written. */
function strftime(date: Date, format: string): string {
  const two = (n: number) => String(n).padStart(2, '0')
  const month = MONTHS[date.getMonth()]!
  const day = DAYS[date.getDay()]!
  const shown: Record<string, string> = {
    '%Y': String(date.getFullYear()),
    '%y': two(date.getFullYear() % 100),
    '%m': two(date.getMonth() + 1),
    '%d': two(date.getDate()),
    '%B': month,
    '%b': month.slice(0, 3),
    '%A': day,
    '%a': day.slice(0, 3),
    '%H': two(date.getHours()),
    '%M': two(date.getMinutes()),
    '%S': two(date.getSeconds()),
    '%%': '%',
  }
  return format.replace(/%[A-Za-z%]/g, directive => shown[directive] ?? directive)
}
