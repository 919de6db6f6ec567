package rabbitmq_test

import (
	"errors"
	"net/url"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
)

// The user who published a message is known by user_id alone, also after copies, and a copy vouches for no position
// that another user has claimed.
func TestWhoPublishedAMessage(t *testing.T) {
	t.Parallel()
	config := withLedger(t)
	till := rabbitmqtest.User(t, config, "secret")
	tills := withURL(t, config, func(u *url.URL) { u.User = url.UserPassword(till, "secret") })
	relay := rabbitmqtest.User(t, config, "secret") // another user of the fleet
	relays := withURL(t, config, func(u *url.URL) { u.User = url.UserPassword(relay, "secret") })
	config.Fleet = []string{relay}
	session := open(t, config)
	p := publisher(t, session, 10)

	relayed := sale(1)
	relayed.OwnUser = true
	must(t, publish(t, p, relayed).Wait(testContext(t)))
	must(t, publish(t, p, sale(2)).Wait(testContext(t)))
	channel := raw(t, tills)
	must(t, channel.PublishWithContext(testContext(t), topology.Events, saleKey, true, false, amqp.Publishing{
		MessageId: "theirs", UserId: till, AppId: "pos", CorrelationId: "R-17", Headers: amqp.Table{rabbitmq.HeaderLogSeq: int64(3), rabbitmq.HeaderUserID: "forged"},
	}))
	must(t, publish(t, publisher(t, open(t, relays), 1), relayed).Wait(testContext(t)))
	c := consumer(t, session, ledgerQueue, 10)
	for range 2 {
		taken := take(t, c, 4)
		for i, want := range []struct {
			own, fromLog bool
			user         string
		}{{true, true, ""}, {false, false, ""}, {taken[2].OwnUser, false, till}, {true, true, ""}} {
			if d := taken[i]; d.OwnUser != want.own || d.FromLog() != want.fromLog || d.UserID != want.user {
				t.Errorf("message %d: own %t, from the log %t, user %q; want %+v", i, d.OwnUser, d.FromLog(), d.UserID, want)
			}
		}
		if taken[2].AppID != "pos" || taken[2].CorrelationID != "R-17" {
			t.Errorf("its properties are lost: %+v", taken[2].Message)
		}
		for _, d := range taken {
			must(t, publish(t, p, rabbitmq.RetryMessage(d, ledger, retryDelay, errors.New("no"))).Wait(testContext(t)))
			must(t, c.AckOne(d))
		}
	}
}

// A broker that knows the user by another name refuses the first message, and takes those of the next session.
func TestABrokerKnowsTheUserByAnotherName(t *testing.T) {
	t.Parallel()
	config := withLedger(t)
	session := open(t, config)
	rabbitmq.RenameUser(session, "another")
	m := sale(1)
	m.OwnUser = true
	if err := publish(t, publisher(t, session, 1), m).Wait(testContext(t)); !errors.Is(err, rabbitmq.ErrSessionLost) {
		t.Fatalf("want the session lost, got %v", err)
	}
	next := open(t, config)
	must(t, publish(t, publisher(t, next, 1), m).Wait(testContext(t)))
	if d := take(t, consumer(t, next, ledgerQueue, 1), 1)[0]; d.OwnUser || d.FromLog() {
		t.Errorf("want it published without user_id, got %+v", d.Message)
	}
}
