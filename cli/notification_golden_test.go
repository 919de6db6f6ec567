package cli_test

import (
	"github.com/composerp/composerp/store/storetest"
)

// notificationGoldens are those of notifications, of a tenant of its own.
func notificationGoldens(h *environment) []goldenLine {
	storetest.Exec(h, h.database, `INSERT INTO notification (event_id, channel, tenant_id, type, about, summary, occurred_at, delivered, attempts, answer) VALUES
		('0a3f5c1e-8f0b-5d0f-9a5e-0d1f6c1b2b01', 'log', 't4', 'PURCHASE_ORDER_CREATED', 'order o-1',
		 'Order PO-2026-000001 to supplier smith for UK-WH: 1 line, total 120.5.', '2026-02-09T12:00:00Z', true, 1, 'no webhook URL is configured'),
		('0a3f5c1e-8f0b-5d0f-9a5e-0d1f6c1b2b02', 'webhook', 't4', 'INVENTORY_LOW_STOCK', '85123A at UK-WH',
		 '85123A at UK-WH is low: 3 available, threshold 10.', '2026-02-09T13:00:00Z', true, 1, '200'),
		('0a3f5c1e-8f0b-5d0f-9a5e-0d1f6c1b2b02', 'alertmanager', 't4', 'INVENTORY_LOW_STOCK', '85123A at UK-WH',
		 '85123A at UK-WH is low: 3 available, threshold 10.', '2026-02-09T13:00:00Z', false, 2, 'alerts.example answered 502 Bad Gateway')`)
	return []goldenLine{
		{command: "notification list", args: []string{"--tenant", "t4"}, mask: []string{"id"}},
		{command: "notification list", as: "notification_list_undelivered", args: []string{"--tenant", "t4", "--undelivered", "--limit", "1"}, mask: []string{"id"}},
	}
}
