// Replays the log from composerp.stream and goes on with new events, until it is interrupted.
//
//   AMQP_URL=amqp://reader:secret@127.0.0.1:5672/composerp node replay.mjs [first|last|next|OFFSET|TIME]
//
// TIME is such as 2026-02-01T00:00:00Z: when the event came into the stream.

import amqp from 'amqplib'

function startAt (text) {
  if (/^\d+$/.test(text)) return Number(text)
  if (['first', 'last', 'next'].includes(text)) return text
  const seconds = Math.floor(Date.parse(text) / 1000)
  if (Number.isNaN(seconds)) throw new Error(`${text}: want first, last, next, an offset or a time`)
  return { '!': 'timestamp', value: seconds }
}

// A crash of the fleet may put an event into the stream twice, the second copy soon after the first. A program that
// keeps what it reads in a table gets the same by a unique key on the message id.
const remembered = 10_000
const seen = new Set()
function isCopy (seq) {
  const again = seen.delete(seq)
  seen.add(seq) // copies too, at the end: another copy may follow
  if (seen.size > remembered) seen.delete(seen.values().next().value)
  return again
}

const connection = await amqp.connect(process.env.AMQP_URL)
const channel = await connection.createChannel()
await channel.prefetch(500) // needed: how many messages may be on their way
await channel.consume('composerp.stream', (message) => {
  if (message === null) throw new Error('composerp.stream was deleted')
  const { headers, type, messageId } = message.properties
  if (!isCopy(headers['x-log-seq'])) {
    // Keep this offset with what was made of the event: a restart goes on at the next one.
    console.log(`${headers['x-stream-offset']} ${type} ${messageId}`)
  }
  channel.ack(message) // asks for more; the event stays in the stream
}, { arguments: { 'x-stream-offset': startAt(process.argv[2] ?? 'next') } })
console.log('attached')

process.once('SIGINT', () => connection.close())
process.once('SIGTERM', () => connection.close())
