import { request } from 'node:http'

export interface Answer {
  status: number
  /** The content type. */
  type: string
  text: string
}

/**
 * One question over a connection of its own. A body that is a string is sent as it is.
 * @param onEvent called with the text of every chunk as it comes; 'hang up' ends the connection, what came is answered
 */
export function askRaw(
  url: string,
  method: 'GET' | 'POST',
  body?: unknown,
  onEvent: (chunk: string) => unknown = () => undefined,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request(
      url,
      { method, agent: false, headers: body === undefined ? {} : { 'content-type': 'application/json' } },
      response => {
        let text = ''
        const answer = (): void =>
          resolve({ status: response.statusCode ?? 0, type: response.headers['content-type'] ?? '', text })
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => {
          text += chunk
          if (onEvent(chunk) !== 'hang up') return
          answer()
          response.destroy()
        })
        response.once('end', answer)
        response.once('error', reject)
      },
    )
    asked.once('error', reject)
    asked.end(body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body))
  })
}

/** The JSON of whole server-sent events, without the last one, which says that it is over. */
export function eventsOf(text: string): unknown[] {
  return text
    .split('\n\n')
    .slice(0, -1)
    .filter(event => event.startsWith('data: ') && event !== 'data: [DONE]')
    .map(event => JSON.parse(event.slice('data: '.length)) as unknown)
}
