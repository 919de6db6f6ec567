package projection

import (
	"context"
	"fmt"
	"strings"

	"github.com/lib/pq"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// The schemas of a projection's tables beside the live ones.
const (
	rebuilt = "rebuild"
	kept    = "kept"
	copied  = "copy"
)

// schemas are the quoted names of the live schema and of one beside it.
type schemas struct{ live, side string }

var currentSchema = pg.SQL(`SELECT current_schema()`)

func (p Projection) schemas(ctx context.Context, tx store.Tx, side string) (s schemas, err error) {
	var live string
	if err = pg.Get(ctx, tx, &live, currentSchema); err != nil {
		return s, err
	}
	return schemas{pq.QuoteIdentifier(live), pq.QuoteIdentifier(live + "_" + p.Name + "_" + side)}, nil
}

// makeTables makes empty tables like the live ones, with the names, indexes, storage parameters, owner and privileges
// that these have, so that they can take their place.
const makeTables = `
DO $do$
DECLARE
    source regclass;
    target text;
    found  record;
BEGIN
    FOREACH source IN ARRAY %[1]s::regclass[] LOOP
        target := %[2]s || '.' || quote_ident((SELECT relname FROM pg_class WHERE oid = source));
        EXECUTE format('CREATE TABLE %%s (LIKE %%s INCLUDING ALL EXCLUDING INDEXES)', target, source);
        FOR found IN SELECT array_to_string(reloptions, ', ') AS options, relowner::regrole AS owner FROM pg_class WHERE oid = source LOOP
            IF found.options <> '' THEN
                EXECUTE format('ALTER TABLE %%s SET (%%s)', target, found.options);
            END IF;
            EXECUTE format('ALTER TABLE %%s OWNER TO %%s', target, found.owner);
        END LOOP;
        FOR found IN SELECT conname, pg_get_constraintdef(oid) AS def FROM pg_constraint WHERE conrelid = source AND contype IN ('p', 'u') LOOP
            EXECUTE format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', target, found.conname, found.def);
        END LOOP;
        FOR found IN SELECT i.indisunique, c.relname, pg_get_indexdef(i.indexrelid) AS def FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                     WHERE i.indrelid = source AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid AND contype IN ('p', 'u')) LOOP
            EXECUTE format('CREATE %%s INDEX %%I ON %%s %%s', CASE WHEN found.indisunique THEN 'UNIQUE' END, found.relname, target, substring(found.def FROM ' USING .*$'));
        END LOOP;
        FOR found IN SELECT a.grantee, a.privilege_type FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = source AND a.grantee <> c.relowner LOOP
            EXECUTE format('GRANT %%s ON %%s TO %%s', found.privilege_type, target,
                CASE found.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(found.grantee)) END);
        END LOOP;
    END LOOP;
END $do$`

func (p Projection) makeTables(ctx context.Context, tx store.Tx, s schemas) error {
	var sources []string
	for _, t := range p.Tables {
		sources = append(sources, pq.QuoteLiteral(s.live+"."+pq.QuoteIdentifier(t.Name)))
	}
	text := "CREATE SCHEMA " + s.side + ";" + fmt.Sprintf(makeTables, "ARRAY["+strings.Join(sources, ", ")+"]", pq.QuoteLiteral(s.side))
	if err := pg.ExecText(ctx, tx, text); err != nil {
		return fmt.Errorf("making tables of %s in the schema %s (this needs the owner of the database's tables, who may make schemas): %w", p.Name, s.side, err)
	}
	return nil
}

func (p Projection) dropTables(ctx context.Context, tx store.Tx, side string) error {
	s, err := p.schemas(ctx, tx, side)
	if err == nil {
		err = pg.ExecText(ctx, tx, "DROP SCHEMA IF EXISTS "+s.side+" CASCADE")
	}
	return err
}

// on has unqualified names mean the tables of the schema beside the live one, until the transaction ends.
func (s schemas) on(ctx context.Context, tx store.Tx) error {
	return pg.ExecText(ctx, tx, "SET LOCAL search_path = "+s.side+", "+s.live)
}

func (s schemas) off(ctx context.Context, tx store.Tx) error {
	return pg.ExecText(ctx, tx, "SET LOCAL search_path = "+s.live)
}

func textArray(names []string) any { return pq.StringArray(names) }

// names are the tables, quoted, of a schema.
func (p Projection) names(schema string) string {
	var names []string
	for _, t := range p.Tables {
		names = append(names, schema+"."+pq.QuoteIdentifier(t.Name))
	}
	return strings.Join(names, ", ")
}
