package cli_test

import "github.com/composerp/composerp/store/storetest"

// processGoldens show instances of a process that this program does not have, so that nothing moves them.
func processGoldens(h *environment) []goldenLine {
	waits := func() {
		storetest.Exec(h, h.database, `
INSERT INTO process_instance (tenant_id, process, correlation, state, version, final, trouble, begun_at, changed_at) VALUES
    ('kent', 'parcel', 'po-1', 'waiting', 1, false, '', '2026-02-09T12:00:00Z', '2026-02-09T12:00:00Z'),
    ('kent', 'parcel', 'po-2', 'escalated', 2, false, 'the log is full', '2026-02-09T12:00:00Z', '2026-02-10T12:00:00Z'),
    ('kent', 'parcel', 'po-3', 'approved', 2, true, '', '2026-02-09T12:00:00Z', '2026-02-11T12:00:00Z')`)
		storetest.Exec(h, h.database, `
INSERT INTO process_step (tenant_id, process, correlation, kind, input, input_id, from_state, to_state, occurred_at, taken_at, by, note) VALUES
    ('kent', 'parcel', 'po-2', 'moved', 'PURCHASE_ORDER_CREATED', '6f1de001-6a6b-4d4f-8f3e-000000000001', '', 'waiting', '2026-02-09T11:00:00Z', '2026-02-09T12:00:00Z', 'replenishment', ''),
    ('kent', 'parcel', 'po-2', 'moved', 'timer escalate', '6f1de001-6a6b-4d4f-8f3e-000000000002', 'waiting', 'escalated', '2026-02-10T12:00:00Z', '2026-02-10T12:00:00Z', 'timer', '')`)
		storetest.Exec(h, h.database, `
INSERT INTO process_timer (tenant_id, process, correlation, name, due_at, failures) VALUES
    ('kent', 'parcel', 'po-1', 'escalate', '2126-02-10T12:00:00Z', 0), ('kent', 'parcel', 'po-2', 'cancel', '2126-02-12T12:00:00Z', 3)`)
		storetest.Exec(h, h.database, `
INSERT INTO process_early (tenant_id, process, correlation, input, input_id, occurred_at, by, note, kept_at)
VALUES ('kent', 'parcel', 'po-2', 'approve', '6f1de001-6a6b-4d4f-8f3e-000000000003', '2026-02-10T12:00:00Z', 'ann', '', '2026-02-10T12:00:00Z')`)
	}
	return []goldenLine{
		{command: "process list", args: []string{"--tenant", "kent"}, before: waits},
		{command: "process show", args: []string{"po-2"}},
		{command: "process retry", args: []string{"po-2", "--dry-run"}},
	}
}
