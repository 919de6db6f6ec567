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
// It runs in the background: a database that hangs would else hold the commit's caller, whose events are committed.
// Commits that come while one announcement is made share the next. After the last one a process that closes its pool
// waits for it.
//
// An announcement that is lost, because the process died after its commit or the database did not answer, delays an
// event until the ticker's next check, and so does a version that makes none.

// appendChannel is the LISTEN channel of announcements.
const appendChannel = "composerp_append"

// announceTimeout bounds how long an announcement may keep those after it waiting.
const announceTimeout = time.Second

var announceAppended = pg.SQL(`SELECT pg_notify('` + appendChannel + `', '')::text`)

func announce(db *store.DB) {
	ctx, cancel := context.WithTimeout(context.Background(), announceTimeout)
	defer cancel()
	_, _ = pg.Repeat(ctx, db, announceAppended) // the ticker's next check finds the events
}
