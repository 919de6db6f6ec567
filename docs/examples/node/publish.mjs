// Publishes one sale and exits when the broker has confirmed it.
//
//   AMQP_URL=amqp://till:secret@127.0.0.1:5672/composerp node publish.mjs RECEIPT ITEM QUANTITY AMOUNT

import { randomUUID } from 'node:crypto'
import amqp from 'amqplib'

const [saleId, itemId, quantity, amount] = process.argv.slice(2)
const soldAt = new Date().toISOString()

// A till stores the event with the sale. If no confirm arrives, it publishes the same event again: same eventId, same body.
const event = {
  eventId: randomUUID(),
  eventType: 'SALE_COMPLETED',
  aggregateType: 'SALES_ORDER',
  aggregateId: saleId,
  tenantId: 'default',
  timestamp: soldAt,
  version: '1.0',
  payload: { saleId, itemId, locationId: 'SHOP-1', quantity: Number(quantity), amount: Number(amount), timestamp: soldAt },
  metadata: { source: 'till-1' },
}

const connection = await amqp.connect(process.env.AMQP_URL)
const channel = await connection.createConfirmChannel()
channel.publish('composerp.events', 'integration.sale_completed', Buffer.from(JSON.stringify(event)), {
  persistent: true,
  contentType: 'application/json',
  messageId: event.eventId,
  type: event.eventType,
})
await channel.waitForConfirms()
await connection.close()
console.log(`published ${event.eventId}`)
