-- A tick in one round trip.

-- +goose Up
-- The four steps are statements of their own, in this order: each of a volatile function has its own snapshot. The
-- sequence is read before the lock gives the transaction its id, and the tick's snapshot is taken under the lock.
-- No row: the term is over. A row without an id: the newest epoch is not this server's. eventlog/tick.go says why.
-- +goose StatementBegin
CREATE FUNCTION make_tick(lease_name text, lease_term bigint,
    OUT id bigint, OUT epoch int, OUT seq_before bigint, OUT max_seq bigint, OUT snapshot text, OUT tx text)
RETURNS SETOF record VOLATILE LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    before bigint := coalesce(pg_sequence_last_value('event_log_seq'), 0);
BEGIN
    PERFORM FROM lease l WHERE l.name = lease_name AND l.term = lease_term FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    RETURN QUERY
        INSERT INTO tick AS t (id, epoch, snapshot, seq_before, max_seq)
        SELECT last.id + 1, e.epoch, pg_current_snapshot(), before, coalesce(pg_sequence_last_value('event_log_seq'), 0)
        FROM (SELECT p.id, p.epoch, p.snapshot FROM tick p ORDER BY p.id DESC LIMIT 1) last
        JOIN epoch e ON e.epoch = last.epoch, pg_control_system() c
        WHERE e.system_identifier = c.system_identifier AND pg_snapshot_xmax(last.snapshot) <= pg_snapshot_xmax(pg_current_snapshot())
        RETURNING t.id, t.epoch, t.seq_before, t.max_seq, t.snapshot::text, t.tx::text;
    IF NOT FOUND THEN
        RETURN NEXT;
        RETURN;
    END IF;
    PERFORM pg_notify('composerp_tick', '');
END $$;
-- +goose StatementEnd

-- +goose Down
DROP FUNCTION make_tick(text, bigint);
