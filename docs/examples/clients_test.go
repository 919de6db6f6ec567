// Package examples_test runs the clients of docs/examples against a fleet, as docs/howto/external-systems.md tells
// their users to.
package examples_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/notification"
	"github.com/composerp/composerp/workers/worker/webcall"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// timeout bounds each wait: a start of the fleet, a line of a client.
const timeout = 2 * time.Minute

// The permissions that the guide gives its two users: configure, write, read.
var (
	publisherMay  = [3]string{`^$`, `^composerp\.events$`, `^$`}
	subscriberMay = [3]string{`^webshop\.`, `^webshop\.`, `^(webshop\..*|composerp\.events)$`}
)

// client is how the examples of one language are run.
type client struct {
	program, publish, subscribe string
	// missing says what the machine lacks; empty when nothing.
	missing func() string
}

var clients = map[string]client{
	"node":   {"node", "node/publish.mjs", "node/subscribe.mjs", missingForNode},
	"python": {"/usr/bin/python3", "python/publish.py", "python/subscribe.py", missingForPython},
}

func missingForNode() string {
	if out, err := exec.Command("node", "--version").CombinedOutput(); err != nil {
		return fmt.Sprintf("node does not run (%v %s)", err, out)
	}
	if _, err := os.Stat("node/node_modules/amqplib"); err != nil {
		return "docs/examples/node has no node_modules: make clients"
	}
	return ""
}

func missingForPython() string {
	if out, err := exec.Command("/usr/bin/python3", "-c", "import pika").CombinedOutput(); err != nil {
		return fmt.Sprintf("python3 has no pika: make clients (%v %s)", err, bytes.TrimSpace(out))
	}
	return ""
}

// A client publishes a sale that the fleet books, and gets the INVENTORY_UPDATED that follows.
func TestClients(t *testing.T) {
	t.Parallel()
	able := map[string]client{}
	for name, c := range clients {
		if why := c.missing(); why != "" {
			t.Logf("SKIPPED, AND NOT PROVEN: the %s examples: %s", name, why)
			continue
		}
		able[name] = c
	}
	if len(able) == 0 {
		t.Skip("SKIPPED, AND NOT PROVEN: no client of docs/examples can run here; make clients installs what they need")
	}
	f := startFleet(t)
	publisher, subscriber := f.user("till", publisherMay), f.user("webshop", subscriberMay)
	for name, c := range able { // one after the other: both subscribe by the same queue
		t.Run(name, func(t *testing.T) {
			lines := f.start(t, subscriber, c.program, c.subscribe)
			lines.wait(t, "subscribed")
			published := f.start(t, publisher, c.program, c.publish, "S-"+name, "TEA-"+name, "2", "4.98")
			published.wait(t, "published ")
			lines.wait(t, fmt.Sprintf("TEA-%s at SHOP-1: -2 on hand", name))
			f.books(t, "TEA-"+name, "-2")
		})
	}
}

// The receiver of the example takes what the fleet signs by its secret, and refuses what is signed by another.
func TestTheWebhookReceiver(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("node/node_modules/standardwebhooks"); err != nil {
		t.Skip("SKIPPED, AND NOT PROVEN: docs/examples/node has no node_modules: make clients")
	}
	const secret, foreign = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	f := &fleet{T: t, env: append(os.Environ(), "COMPOSERP_WEBHOOK_SECRET="+secret, "PORT=0")}
	receiver := f.start(t, nil, "node", "node/webhook.mjs")
	to := strings.TrimPrefix(receiver.wait(t, "listening at http://"), "listening at ")
	db := storetest.DB(t)
	notify := func(secrets ...string) error {
		t.Helper()
		signer, err := webcall.NewSigner(secrets)
		if err != nil {
			t.Fatal(err)
		}
		order := workertest.Event(t, event.PurchaseOrderApproved{PurchaseOrderID: uuid.NewString(), PONumber: "PO-7", ApprovedBy: "ann", ApprovedAt: workertest.Day})
		_, err = workertest.Handle(t, db, notification.New(to, signer, nil), order)
		return err
	}
	if err := notify(foreign, secret); err != nil {
		t.Errorf("one of two secrets is known, and the receiver refuses: %v", err)
	}
	receiver.wait(t, ":approved: Order PO-7 was approved by ann.")
	if err := notify(foreign); err == nil {
		t.Error("the receiver takes what another has signed")
	}
	receiver.wait(t, "refused: ")
}

// The permissions of the test are those of the guide.
func TestTheGuideHasThePermissions(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../howto/external-systems.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, may := range [][3]string{publisherMay, subscriberMay} {
		line := fmt.Sprintf("'%s' '%s' '%s'", may[0], may[1], may[2])
		if !bytes.Contains(guide, []byte(line)) {
			t.Errorf("docs/howto/external-systems.md does not give the permissions %s", line)
		}
	}
}

// fleet is a running `composerp up` on a database and a virtual host of the test's.
type fleet struct {
	*testing.T
	program    string
	env        []string
	database   string
	broker     *url.URL
	management *url.URL
}

func startFleet(t *testing.T) *fleet {
	t.Helper()
	program := filepath.Join(t.TempDir(), "composerp")
	if out, err := exec.Command("go", "build", "-o", program, "../../cli/composerp").CombinedOutput(); err != nil {
		t.Fatalf("building composerp: %v\n%s", err, out)
	}
	return startProgram(t, program)
}

// startProgram runs `up` of a program that is composerp, or is made with cli.Main.
func startProgram(t *testing.T, program string) *fleet {
	t.Helper()
	f := &fleet{T: t, program: program, database: storetest.URL(t)}
	address := rabbitmqtest.Vhost(t).URLs[0]
	var err error
	if f.broker, err = url.Parse(address); err != nil {
		t.Fatal(err)
	}
	if f.management, err = url.Parse(rabbitmqtest.ManagementURL(t)); err != nil {
		t.Fatal(err)
	}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "COMPOSERP_") {
			f.env = append(f.env, v)
		}
	}
	f.env = append(f.env, "COMPOSERP_DATABASE_URL="+f.database, "COMPOSERP_AMQP_URL="+address,
		"COMPOSERP_MANAGEMENT_URL="+f.management.String(), "COMPOSERP_METRICS_ADDR=127.0.0.1:0", "COMPOSERP_DIR="+t.TempDir())
	f.start(t, nil, f.program, "up").wait(t, " is up")
	return f
}

// user makes a user of the broker with these permissions on the test's virtual host, and gives the URL it connects by.
func (f *fleet) user(name string, may [3]string) *url.URL {
	f.Helper()
	name += "-" + strings.TrimPrefix(f.broker.Path, "/")
	f.put("/api/users/"+url.PathEscape(name), map[string]string{"password": "secret", "tags": ""})
	f.Cleanup(func() { f.call(http.MethodDelete, "/api/users/"+url.PathEscape(name), nil) })
	f.put("/api/permissions/"+url.PathEscape(strings.TrimPrefix(f.broker.Path, "/"))+"/"+url.PathEscape(name),
		map[string]string{"configure": may[0], "write": may[1], "read": may[2]})
	at := *f.broker
	at.User = url.UserPassword(name, "secret")
	return &at
}

func (f *fleet) put(path string, body any) {
	f.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		f.Fatal(err)
	}
	f.call(http.MethodPut, path, raw)
}

func (f *fleet) call(method, path string, body []byte) {
	f.Helper()
	at := *f.management
	at.User = nil
	request, err := http.NewRequest(method, strings.TrimSuffix(at.String(), "/")+path, bytes.NewReader(body))
	if err != nil {
		f.Fatal(err)
	}
	password, _ := f.management.User.Password()
	request.SetBasicAuth(f.management.User.Username(), password)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		f.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		answer, _ := io.ReadAll(response.Body)
		f.Fatalf("%s %s: %s %s", method, path, response.Status, answer)
	}
}

// books returns when planners see so much on hand: the read model follows the ledger's event.
func (f *fleet) books(t *testing.T, item string, onHand json.Number) {
	t.Helper()
	var stock []struct {
		OnHand json.Number `json:"onHand"`
	}
	for deadline := time.Now().Add(timeout); ; time.Sleep(20 * time.Millisecond) {
		f.composerp(t, &stock, "stock", "--item", item)
		if len(stock) == 1 && stock[0].OnHand == onHand {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the fleet has %v of %s, want one line with %s on hand", stock, item, onHand)
		}
	}
}

// composerp runs a command with -o json to its end.
func (f *fleet) composerp(t *testing.T, into any, args ...string) {
	t.Helper()
	command := exec.Command(f.program, append(args, "-o", "json")...)
	command.Env = f.env
	out, err := command.Output()
	if err != nil {
		t.Fatalf("composerp %s: %v", strings.Join(args, " "), err)
	}
	if err := json.Unmarshal(out, into); err != nil {
		t.Fatalf("composerp %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// output is what a process prints, line by line.
type output struct {
	name  string
	lines chan string
	all   *bytes.Buffer
}

// start starts a process that ends with the test. at is the broker's URL for a client.
func (f *fleet) start(t *testing.T, at *url.URL, program string, args ...string) output {
	t.Helper()
	command := exec.Command(program, args...)
	command.Env = f.env
	if at != nil {
		command.Env = append(command.Env, "AMQP_URL="+at.String())
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stdout, command.Stderr = write, write
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	o := output{name: filepath.Base(program) + " " + strings.Join(args, " "), lines: make(chan string, 1000), all: &bytes.Buffer{}}
	go func() {
		defer close(o.lines)
		for scanner := bufio.NewScanner(read); scanner.Scan(); {
			o.lines <- scanner.Text()
		}
	}()
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		read.Close()
	})
	return o
}

// wait returns a line that contains text, when the process has printed one.
func (o output) wait(t *testing.T, text string) (line string) {
	t.Helper()
	deadline := time.After(timeout)
	for {
		select {
		case next, more := <-o.lines:
			line = next
			fmt.Fprintln(o.all, line)
			switch {
			case strings.Contains(line, text):
				return line
			case !more:
				t.Fatalf("%s ended without %q:\n%s", o.name, text, o.all)
			}
		case <-deadline:
			t.Fatalf("%s has not printed %q in %s:\n%s", o.name, text, timeout, o.all)
		}
	}
}
