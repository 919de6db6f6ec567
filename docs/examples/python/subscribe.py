"""Prints every change of stock, from a queue of its own, until it is interrupted.

AMQP_URL=amqp://webshop:secret@127.0.0.1:5672/composerp python3 subscribe.py
"""

import json
import os

import pika

QUEUE = "webshop.stock"
latest = {}  # aggregateId -> sequence; a real subscriber keeps it in its database


def updated(channel, method, properties, body):
    event = json.loads(body)
    position, sequence, payload = event["aggregateId"], event["metadata"]["sequence"], event["payload"]
    # An event may arrive twice, and then late: the sequence of its aggregate says which one is newer.
    if sequence > latest.get(position, 0):
        latest[position] = sequence
        print(f"{payload['itemId']} at {payload['locationId']}: {payload['onHand']} on hand", flush=True)
    channel.basic_ack(method.delivery_tag)


connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
channel.queue_bind(QUEUE, "composerp.events", routing_key="inventory.updated")
channel.basic_qos(prefetch_count=50)
channel.basic_consume(QUEUE, on_message_callback=updated)
print("subscribed", flush=True)
try:
    channel.start_consuming()
except KeyboardInterrupt:
    connection.close()
