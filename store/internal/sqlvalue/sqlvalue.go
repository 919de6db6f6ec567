// Package sqlvalue converts arguments and results of statements.
package sqlvalue

import (
	"database/sql"
	"time"
)

// AtMost is a LIMIT; 0 means none.
func AtMost(limit int) sql.NullInt64 { return sql.NullInt64{Int64: int64(limit), Valid: limit > 0} }

// Nullable is a text; "" becomes NULL.
func Nullable(text string) sql.NullString { return sql.NullString{String: text, Valid: text != ""} }

// Seconds converts PostgreSQL's seconds.
func Seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
