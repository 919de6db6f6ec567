-- Tables named by what they hold. The old names stay for one version.

-- +goose Up
ALTER TABLE notice RENAME TO notification;
ALTER TABLE notification RENAME COLUMN told TO delivered;
ALTER TABLE set_aside RENAME TO unpublishable;
ALTER TABLE unpublishable RENAME COLUMN set_aside_at TO marked_at;

-- A fleet of the version before may still run beside this one. It inserts, updates (ON CONFLICT), reads and deletes by
-- these names: PostgreSQL carries that over to the tables, with their defaults and unique keys.
CREATE VIEW notice AS
SELECT id, event_id, channel, tenant_id, type, about, summary, occurred_at, delivered AS told, attempts, answer, said_at FROM notification;
CREATE VIEW set_aside AS SELECT seq, event_id, reason, marked_at AS set_aside_at FROM unpublishable;

-- A role that was granted something on a table has it on the table's new name; on the view it gets the same.
-- +goose StatementBegin
DO $$
DECLARE g record;
BEGIN
    FOR g IN
        SELECT CASE c.relname WHEN 'notification' THEN 'notice' ELSE 'set_aside' END AS view, a.privilege_type AS what,
               CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS who
        FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid IN ('notification'::regclass, 'unpublishable'::regclass) AND a.grantee <> c.relowner
          AND a.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
    LOOP
        EXECUTE format('GRANT %s ON %I TO %s', g.what, g.view, g.who);
    END LOOP;
END $$;
-- +goose StatementEnd

COMMENT ON VIEW notice IS 'the old name of notification; to be dropped once no fleet of a version before 0016 runs';
COMMENT ON VIEW set_aside IS 'the old name of unpublishable; to be dropped once no fleet of a version before 0016 runs';

-- +goose Down
DROP VIEW notice, set_aside;
ALTER TABLE unpublishable RENAME COLUMN marked_at TO set_aside_at;
ALTER TABLE unpublishable RENAME TO set_aside;
ALTER TABLE notification RENAME COLUMN delivered TO told;
ALTER TABLE notification RENAME TO notice;
