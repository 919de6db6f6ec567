"""Publishes one sale and exits when the broker has confirmed it.

AMQP_URL=amqp://till:secret@127.0.0.1:5672/composerp python3 publish.py RECEIPT ITEM QUANTITY AMOUNT
"""

import json
import os
import sys
import uuid
from datetime import datetime, timezone

import pika

sale_id, item_id, quantity, amount = sys.argv[1:]
sold_at = datetime.now(timezone.utc).isoformat()

# A till stores the event with the sale. If no confirm arrives, it publishes the same event again: same eventId, same body.
event = {
    "eventId": str(uuid.uuid4()),
    "eventType": "SALE_COMPLETED",
    "aggregateType": "SALES_ORDER",
    "aggregateId": sale_id,
    "tenantId": "default",
    "timestamp": sold_at,
    "version": "1.0",
    "payload": {
        "saleId": sale_id,
        "itemId": item_id,
        "locationId": "SHOP-1",
        "quantity": float(quantity),
        "amount": float(amount),
        "timestamp": sold_at,
    },
    "metadata": {"source": "till-1"},
}

connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.confirm_delivery()  # basic_publish now waits for the confirm, and raises NackError without it
channel.basic_publish(
    exchange="composerp.events",
    routing_key="integration.sale_completed",
    body=json.dumps(event),
    properties=pika.BasicProperties(
        delivery_mode=2,  # persistent
        content_type="application/json",
        message_id=event["eventId"],
        type=event["eventType"],
    ),
)
connection.close()
print("published", event["eventId"])
