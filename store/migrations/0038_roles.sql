-- Making and dropping partitions takes the owner of the log and the inbox. These functions run as their owner, so that
-- the ticker's role need not be the owner.

-- +goose Up
-- The check lets ATTACH skip its scan: it repeats the partition's bound. current_schema() is the owner's: it is not
-- led astray by a temporary table of the caller's.
-- +goose StatementBegin
CREATE FUNCTION make_log_partition(low bigint, high bigint) RETURNS void VOLATILE LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    name text := 'event_log_p' || low / (high - low);
BEGIN
    EXECUTE format('CREATE TABLE %1$I.%2$I (LIKE %1$I.event_log INCLUDING ALL, CONSTRAINT %3$I CHECK (seq >= %4$s AND seq < %5$s))',
        current_schema(), name, name || '_bound', low, high);
    EXECUTE format('ALTER TABLE %1$I.event_log ATTACH PARTITION %1$I.%2$I FOR VALUES FROM (%3$s) TO (%4$s)', current_schema(), name, low, high);
    EXECUTE format('ALTER TABLE %1$I.%2$I DROP CONSTRAINT %3$I', current_schema(), name, name || '_bound');
END $$;

CREATE FUNCTION make_inbox_partition(number integer) RETURNS void VOLATILE LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    EXECUTE format('CREATE TABLE %1$I.%2$I (LIKE %1$I.inbox INCLUDING ALL)', current_schema(), 'inbox_' || number);
    EXECUTE format('ALTER TABLE %1$I.inbox ATTACH PARTITION %1$I.%2$I FOR VALUES IN (%3$s)', current_schema(), 'inbox_' || number, number);
END $$;

CREATE FUNCTION drop_inbox_partition(number integer) RETURNS void VOLATILE LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    used boolean;
BEGIN
    EXECUTE format('SELECT EXISTS (SELECT FROM %I.inbox_generation WHERE generation = $1)', current_schema()) INTO used USING number;
    IF used THEN
        RAISE EXCEPTION 'generation % of the inbox is in use', number USING ERRCODE = 'object_in_use';
    END IF;
    EXECUTE format('DROP TABLE %I.%I', current_schema(), 'inbox_' || number);
END $$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION make_log_partition(bigint, bigint), make_inbox_partition(integer), drop_inbox_partition(integer) FROM PUBLIC;

-- +goose Down
DROP FUNCTION make_log_partition(bigint, bigint);
DROP FUNCTION make_inbox_partition(integer);
DROP FUNCTION drop_inbox_partition(integer);
