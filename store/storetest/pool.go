package storetest

import (
	"database/sql"
	"sync"
	"testing"
)

// A session takes PostgreSQL longer to open than a question to answer, and tests ask again and again: Exec and Value
// keep theirs until the tests that use it have ended.
var (
	poolsMu sync.Mutex
	pools   = map[string]*sharedPool{}
)

type sharedPool struct {
	db    *sql.DB
	users map[string]bool // names of tests
}

// pool is the pool of a database, with a session in it that lives: a test may have ended them all.
func pool(t testing.TB, databaseURL string) *sql.DB {
	t.Helper()
	db := poolOf(t, databaseURL)
	var err error
	for range 4 { // One that is idle may be dead, and so may each of the two that are kept.
		if err = db.PingContext(t.Context()); err == nil {
			return db
		}
	}
	t.Fatalf("connecting to the test database: %v", err)
	return nil
}

func poolOf(t testing.TB, databaseURL string) *sql.DB {
	t.Helper()
	poolsMu.Lock()
	defer poolsMu.Unlock()
	p := pools[databaseURL]
	if p == nil {
		db, err := sql.Open("postgres", databaseURL)
		if err != nil {
			t.Fatal(err)
		}
		p = &sharedPool{db: db, users: map[string]bool{}}
		pools[databaseURL] = p
	}
	if name := t.Name(); !p.users[name] {
		p.users[name] = true
		t.Cleanup(func() { p.leave(databaseURL, name) })
	}
	return p.db
}

// EndSessions ends the sessions that Exec and Value keep in a database, so that the database can be copied or dropped.
func EndSessions(databaseURL string) {
	poolsMu.Lock()
	defer poolsMu.Unlock()
	if p := pools[databaseURL]; p != nil {
		p.db.Close()
		delete(pools, databaseURL)
	}
}

// leave closes the pool after the last test that uses it.
func (p *sharedPool) leave(databaseURL, name string) {
	poolsMu.Lock()
	defer poolsMu.Unlock()
	delete(p.users, name)
	if len(p.users) == 0 && pools[databaseURL] == p {
		p.db.Close()
		delete(pools, databaseURL)
	}
}
