package eventlog

// RelayConsumer is the name of the relay's cursor and lease.
const RelayConsumer = "relay"

// relayPlace is where the relay's cursor stands (reader.go): what the tick has
// seen it has passed, and of what the next one sees, all up to seq.
const RelayCursorSQL = `
relay AS MATERIALIZED (
    SELECT p.epoch AS passed_epoch, p.snapshot AS passed, u.epoch AS upto_epoch, u.snapshot AS upto, coalesce(c.seq, 0) AS seq
    FROM (SELECT) one LEFT JOIN log_cursor c ON c.consumer = '` + RelayConsumer + `'
    JOIN tick p ON p.id = coalesce(c.tick, 0) JOIN tick u ON u.id = coalesce(c.upto, 0)
)`

var PassedByRelaySQL = `(` + SeenBySQL("r.passed_epoch", "r.passed") + ` OR e.seq <= r.seq AND ` + SeenBySQL("r.upto_epoch", "r.upto") + `)`

// An event that the relay has not passed is on its way until it has had its time. What is on its way is open, and not judged.
// forgotten tells of an event that the inbox may have forgotten: a checkpoint has
// proven it before its generation was dropped, but for what that left open.
var ForgottenSQL = `EXISTS (SELECT FROM (SELECT epoch, snapshot FROM inbox_dropped ORDER BY generation DESC LIMIT 1) g WHERE ` + SeenBySQL("g.epoch", "g.snapshot") + `)`

// keptGenerations are the inbox's, as an array: then each look into them is one by the key.
const KeptGenerationsSQL = `ARRAY(SELECT generation FROM inbox_generation)`
