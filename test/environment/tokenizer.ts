import { createHash } from 'node:crypto'
import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { satEnvironment } from '../../src/environment/sat.js'
import { THINKING } from '../../src/environment/thinking.js'
import { bundledTokenizerFolder, loadTokenizer, promptIds } from '../../src/environment/tokenizer.js'

const bundled = bundledTokenizerFolder()

await t.test('the system prompts are the bytes that validators expect', async t => {
  const digest = (text: string) => createHash('sha256').update(text).digest('hex')
  t.equal(digest(THINKING.instructed.systemPrompt), '6533a08686b85388a6326e0fd2ed9f336aab666fc46e09410c1063774bd53c60')
  t.equal(digest(THINKING.native.systemPrompt), 'f0ed105a7c5664b2cd10aa97d2f66f587076999b65c14c12e630bc9635615145')
})

await t.test(
  'a prompt is rendered by the checkpoint’s template and tokenized without changing a character',
  async t => {
    const tokenizer = await loadTokenizer(bundled)
    const problem = satEnvironment().problem(1)
    const rendered = tokenizer.renderPrompt(problem.prompt, 'native')
    t.equal(
      rendered,
      `<|im_start|>system\n${THINKING.native.systemPrompt}<|im_end|>\n<|im_start|>user\n${problem.prompt}<|im_end|>\n<|im_start|>assistant\n`,
    )
    const ids = promptIds(tokenizer, problem, 'native')
    t.equal(tokenizer.decode(ids), rendered)
    t.notSame(ids, promptIds(tokenizer, problem, 'instructed'), 'the modes differ')
    t.equal(tokenizer.eosTokenId, 151645)
    t.equal(tokenizer.vocabSize, 151665)
  },
)

await t.test('token ids are those of the reference’s tokenizers library', async t => {
  const tokenizer = await loadTokenizer(bundled)
  // tokenizers 0.22.1 on the same tokenizer.json; 9,638 texts agreed when this was written
  const cases: [text: string, ids: number[]][] = [
    ['Hello', [9707]],
    ['<|im_start|>user\n', [151644, 872, 198]],
    ["it's 1234 é你😀", [275, 594, 220, 16, 17, 18, 19, 3958, 56568, 141334]],
  ]
  for (const [text, ids] of cases) {
    t.same([...tokenizer.encode(text)], ids, text)
    t.equal(tokenizer.decode(ids), text)
  }
  t.equal(tokenizer.decode([9707, 151645, 9_999_999]), 'Hello<|im_end|>', 'unknown ids are left out')
  t.equal(tokenizer.decode([9707, 151645], true), 'Hello')
  t.equal(tokenizer.decode([]), '')
})

await t.test('a template in a file of its own wins, and a list has a default', async t => {
  const folder = t.testdir({})
  await copyFile(join(bundled, 'tokenizer.json'), join(folder, 'tokenizer.json'))
  const config = (chat_template: unknown) =>
    writeFile(
      join(folder, 'tokenizer_config.json'),
      JSON.stringify({ eos_token: { content: '<|im_end|>' }, chat_template }),
    )
  const list = [
    { name: 'tool_use', template: 'tools' },
    { name: 'default', template: "{{ eos_token }}{{ strftime_now('%d %b %Y') }}" },
  ]
  await config(list)
  const now = () => new Date(2026, 0, 9)
  t.equal((await loadTokenizer(folder, { now })).renderPrompt('x', 'native'), '<|im_end|>09 Jan 2026')
  await writeFile(
    join(folder, 'chat_template.jinja'),
    '{% for m in messages %}\n  {% if m.role == "user" %}\n[{{ m.content }}]\n  {% endif %}\n{% endfor %}\n{{ enable_thinking is defined }}\n',
  )
  const tokenizer = await loadTokenizer(folder)
  t.equal(tokenizer.renderPrompt('x', 'native'), '[x]\ntrue')
  t.equal(tokenizer.renderPrompt('x', 'instructed'), '[x]\nfalse', 'only native mode passes enable_thinking')
  await writeFile(join(folder, 'chat_template.jinja'), "{{ raise_exception('no system role') }}")
  const strict = await loadTokenizer(folder)
  t.throws(() => strict.renderPrompt('x', 'native'), /refuses these messages: no system role/)
})

await t.test('files that are missing or wrong give one clear error', async t => {
  const tokenizerJson = join(bundled, 'tokenizer.json')
  const cases: [title: string, files: Record<string, string>, withModel: boolean, error: RegExp][] = [
    ['an empty folder', {}, false, /tokenizer\.json is missing/],
    ['broken JSON', { 'tokenizer_config.json': '{' }, true, /tokenizer_config\.json is not JSON/],
    ['no end token', { 'tokenizer_config.json': '{}' }, true, /tokenizer_config\.json has a wrong field/],
    ['a foreign end token', { 'tokenizer_config.json': '{"eos_token":"<end>"}' }, true, /the vocabulary lacks/],
    ['no template', { 'tokenizer_config.json': '{"eos_token":"<|im_end|>"}' }, true, /no default chat_template/],
    [
      'a template that does not parse',
      { 'tokenizer_config.json': '{"eos_token":"<|im_end|>","chat_template":"{% if %}"}' },
      true,
      /chat template does not parse/,
    ],
    [
      'no tokenizer',
      { 'tokenizer_config.json': '{"eos_token":"a"}', 'tokenizer.json': '{}' },
      false,
      /no tokenizer this build can use/,
    ],
  ]
  for (const [i, [title, files, withModel, error]] of cases.entries()) {
    const folder = join(t.testdirName, String(i))
    await mkdir(folder, { recursive: true })
    if (withModel) await copyFile(tokenizerJson, join(folder, 'tokenizer.json'))
    for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content)
    await t.rejects(loadTokenizer(folder), { message: error }, title)
  }
})
