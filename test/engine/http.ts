import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import t from 'tap'
import { askServer, serverAddress } from '../../src/engine/server/http.js'

const never = new AbortController().signal
const LIMIT = { timeoutMs: 30_000, signal: never }
const ANSWER = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\n{}'

/** A server that treats the nth question on a connection as told: answers it, or closes the connection instead. */
async function server(treat: (question: number, connection: number) => 'answer' | 'close') {
  const open = new Set<Socket>()
  const asked: [connection: number, question: number][] = []
  let connections = 0
  const listener = createServer(socket => {
    const connection = ++connections
    let question = 0
    open.add(socket)
    socket.on('error', () => {})
    socket.on('data', () => {
      asked.push([connection, ++question])
      if (treat(question, connection) === 'answer') socket.write(ANSWER)
      else socket.destroy()
    })
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const address = serverAddress(`http://127.0.0.1:${(listener.address() as AddressInfo).port}`)
  return {
    asked,
    ask: () => askServer(address, 'POST', '/generate', undefined, LIMIT),
    async close(): Promise<void> {
      address.agent.destroy()
      for (const socket of open) socket.destroy()
      listener.close()
      await once(listener, 'close')
    },
  }
}

t.test('a kept connection', async t => {
  const it = await server(() => 'answer')
  t.teardown(it.close)
  await it.ask()
  await it.ask()
  t.same(
    it.asked,
    [
      [1, 1],
      [1, 2],
    ],
    'is used again',
  )
})

t.test('a kept connection that the server closes while the next question is on its way', async t => {
  const it = await server(question => (question === 1 ? 'answer' : 'close'))
  t.teardown(it.close)
  await it.ask()
  t.match(await it.ask(), { status: 200, text: '{}' }, 'the question is asked again')
  t.same(
    it.asked,
    [
      [1, 1],
      [1, 2],
      [2, 1],
    ],
    'on a connection of its own',
  )
})

t.test('a new connection that the server closes', async t => {
  const it = await server(() => 'close')
  t.teardown(it.close)
  await t.rejects(it.ask(), { message: /the server went away/ }, 'is a server that went away')
  t.same(it.asked, [[1, 1]], 'which is asked once')
})

t.test('a server that closes the kept connection and the new one', async t => {
  const it = await server((_, connection) => (connection === 1 && it.asked.length === 1 ? 'answer' : 'close'))
  t.teardown(it.close)
  await it.ask()
  await t.rejects(it.ask(), { message: /the server went away/ }, 'went away')
  t.equal(it.asked.length, 3, 'and is asked no more than twice')
})
