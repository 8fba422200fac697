import t from 'tap'
import { renderServerConfig } from '../../nats/index.js'

await t.test('one server', async t => {
  t.equal(
    renderServerConfig({
      name: 'host-a',
      host: '0.0.0.0',
      port: 4222,
      storeDir: '/var/lib/grail/nats',
      user: 'fleet',
      password: 'pa"ss\\word $HOME',
      monitorPort: 8222,
    }),
    String.raw`server_name: "host-a"
host: "0.0.0.0"
port: 4222
http: "127.0.0.1:8222"
max_payload: 8388608
max_pending: 536870912
authorization { user: "fleet", password: "pa\"ss\\word $HOME" }
jetstream {
  store_dir: "/var/lib/grail/nats"
  max_memory_store: 268435456
  max_file_store: 53687091200
}
`,
  )
})

await t.test('one of three servers, with a secret between them written out and encoded in each route', async t => {
  const text = renderServerConfig({
    name: 'host-a',
    host: '10.0.0.1',
    port: 4222,
    storeDir: '/srv/nats',
    maxPayload: 4_194_304,
    cluster: {
      name: 'grail',
      port: 6222,
      routes: ['10.0.0.2:6222', '10.0.0.3:6222'],
      user: 'route',
      password: 'a/b@c',
    },
    replicas: 3,
  })
  t.equal(
    text,
    `server_name: "host-a"
host: "10.0.0.1"
port: 4222
max_payload: 4194304
max_pending: 536870912
jetstream {
  store_dir: "/srv/nats"
  max_memory_store: 268435456
  max_file_store: 53687091200
}
cluster {
  name: "grail"
  listen: "10.0.0.1:6222"
  authorization { user: "route", password: "a/b@c" }
  routes: [
    "nats-route://route:a%2Fb%40c@10.0.0.2:6222"
    "nats-route://route:a%2Fb%40c@10.0.0.3:6222"
  ]
}
`,
  )
})
