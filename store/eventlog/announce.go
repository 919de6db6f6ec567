package eventlog

import (
	"context"
	"time"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// # Announcements
//
// A process without the leading ticker announces that it has appended events, so that the ticker need not ask for them
// all the time. It does so after its commit, in a statement of its own: a transaction that notifies takes a lock at its
// commit that every other such transaction waits for, through the flush of its WAL; this statement writes nothing and
// holds that lock for microseconds.
//
// An announcement that is lost, or comes of a version that makes none, delays an event until the ticker's next check.

// appendChannel is the LISTEN channel of announcements.
const appendChannel = "composerp_append"

// announceTimeout bounds how long a transaction's end may wait for its announcement.
const announceTimeout = time.Second

var announceAppended = pg.SQL(`SELECT pg_notify('` + appendChannel + `', '')::text`)

func announce(db *store.DB) {
	ctx, cancel := context.WithTimeout(context.Background(), announceTimeout)
	defer cancel()
	_, _ = pg.Repeat(ctx, db, announceAppended) // the ticker's next check finds the events
}
