// Receives webhooks, and takes those whose signature is right, until it is interrupted.
//
//   COMPOSERP_WEBHOOK_SECRET=whsec_... node webhook.mjs

import { createServer } from 'node:http'
import { Webhook } from 'standardwebhooks'

const webhook = new Webhook(process.env.COMPOSERP_WEBHOOK_SECRET)

const server = createServer(async (request, response) => {
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  try {
    // The same id is the same call, made again. A real receiver remembers it.
    const { text } = webhook.verify(Buffer.concat(chunks).toString(), request.headers)
    console.log(`${request.headers['webhook-id']}: ${text}`)
    response.writeHead(204).end()
  } catch (error) {
    console.log(`refused: ${error.message}`)
    response.writeHead(400).end(error.message)
  }
})
server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => console.log(`listening at http://127.0.0.1:${server.address().port}/`))

process.once('SIGINT', () => server.close())
process.once('SIGTERM', () => server.close())
