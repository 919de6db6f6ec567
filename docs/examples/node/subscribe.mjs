// Prints every change of stock, from a queue of its own, until it is interrupted.
//
//   AMQP_URL=amqp://webshop:secret@127.0.0.1:5672/composerp node subscribe.mjs

import amqp from 'amqplib'

const queue = 'webshop.stock'
const latest = new Map() // aggregateId -> sequence; a real subscriber keeps it in its database

const connection = await amqp.connect(process.env.AMQP_URL)
const channel = await connection.createChannel()
await channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': 'quorum' } })
await channel.bindQueue(queue, 'composerp.events', 'inventory.updated')
await channel.prefetch(50)
await channel.consume(queue, (message) => {
  if (message === null) throw new Error(`the queue ${queue} was deleted`)
  const { aggregateId, metadata, payload } = JSON.parse(message.content)
  // An event may arrive twice, and then late: the sequence of its aggregate says which one is newer.
  if (metadata.sequence > (latest.get(aggregateId) ?? 0)) {
    latest.set(aggregateId, metadata.sequence)
    console.log(`${payload.itemId} at ${payload.locationId}: ${payload.onHand} on hand`)
  }
  channel.ack(message)
})
console.log('subscribed')

process.once('SIGINT', () => connection.close())
process.once('SIGTERM', () => connection.close())
