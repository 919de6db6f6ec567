package eventlog

// RelayConsumer is the name of the relay's cursor and lease.
const RelayConsumer = "relay"

// RelayCursorSQL is the relay's cursor (reader.go): it has passed everything that tick passed has seen, and of what
// tick upto has seen, everything up to seq.
const RelayCursorSQL = `
relay AS MATERIALIZED (
    SELECT p.epoch AS passed_epoch, p.snapshot AS passed, u.epoch AS upto_epoch, u.snapshot AS upto, coalesce(c.seq, 0) AS seq
    FROM (SELECT) one LEFT JOIN log_cursor c ON c.consumer = '` + RelayConsumer + `'
    JOIN tick p ON p.id = coalesce(c.tick, 0) JOIN tick u ON u.id = coalesce(c.upto, 0)
)`

// PassedByRelaySQL is true of an event e that the cursor r of RelayCursorSQL has passed.
var PassedByRelaySQL = `(` + SeenBySQL("r.passed_epoch", "r.passed") + ` OR e.seq <= r.seq AND ` + SeenBySQL("r.upto_epoch", "r.upto") + `)`

// ForgottenSQL is true for an event whose inbox row may have been dropped with its generation. A checkpoint proved the
// generation first, except for what the checkpoint left open.
var ForgottenSQL = `EXISTS (SELECT FROM (SELECT epoch, snapshot FROM inbox_dropped ORDER BY generation DESC LIMIT 1) g WHERE ` + SeenBySQL("g.epoch", "g.snapshot") + `)`

// KeptGenerationsSQL lists the inbox generations as an array, so that each lookup uses the primary key.
const KeptGenerationsSQL = `ARRAY(SELECT generation FROM inbox_generation)`
