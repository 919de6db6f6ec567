package gateway

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/purchasing"
	"github.com/composerp/composerp/store/stockview"
	"github.com/composerp/composerp/store/trace"
)

const (
	standardPage = 100
	largestPage  = 1000
)

var errUnknown = errors.New("there is none")

// question answers by what ask returns, for a key that may read. Only as many questions as the pool has connections
// for are asked at once.
func (g *Gateway) question(ask func(ctx context.Context, tenant string, r *http.Request) (any, *problem, error)) func(http.ResponseWriter, *http.Request, *holder) *problem {
	return func(w http.ResponseWriter, r *http.Request, k *holder) *problem {
		if !k.MayRead {
			return newProblem(http.StatusForbidden, "this key may not read: `composerp keys create --read` makes one that may")
		}
		if !k.events.Allow() {
			return limited("this key asks too often")
		}
		ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
		defer cancel()
		select {
		case g.asking <- struct{}{}:
			defer func() { <-g.asking }()
		case <-ctx.Done():
			return unavailable("others are asking, and their questions are not answered yet")
		}
		answer, p, err := ask(ctx, k.Tenant, r)
		switch {
		case p != nil:
			return p
		case errors.Is(err, errUnknown), errors.Is(err, store.ErrNotFound):
			return newProblem(http.StatusNotFound, "this tenant has none of this name")
		case err != nil:
			g.cfg.Log.Warn("a question cannot be answered", "error", err)
			return unavailable("the database has not answered")
		}
		writeJSON(w, http.StatusOK, answer)
		return nil
	}
}

// event answers with an event that came from outside, and where its deliveries are.
func (g *Gateway) event(ctx context.Context, tenant string, r *http.Request) (any, *problem, error) {
	id, err := uuid.Parse(r.PathValue("id"))
	if err != nil {
		return nil, newProblem(http.StatusBadRequest, "want the event's id, a UUID").of("id"), nil
	}
	if _, err := eventlog.EntryByID(ctx, g.cfg.DB, id); err != nil { // found by its key, where trace.Get may read far
		return nil, nil, err
	}
	found, err := trace.Get(ctx, g.cfg.DB, id, nil, nil)
	if err == nil && (found == nil || found.Tenant != tenant) {
		err = errUnknown
	}
	return found, nil, err
}

// stockPage is a page of positions. Next is where the next page is, "" on the last one.
type stockPage struct {
	Stock []stockview.Stock `json:"stock"`
	Next  string            `json:"next,omitempty"`
}

// stock answers with the positions of the tenant, by item and location.
func (g *Gateway) stock(ctx context.Context, tenant string, r *http.Request) (any, *problem, error) {
	q := r.URL.Query()
	limit := standardPage
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > largestPage {
			return nil, newProblem(http.StatusBadRequest, "want a number of 1 to "+strconv.Itoa(largestPage)).of("limit"), nil
		}
		limit = n
	}
	beyond, ok := readPlace(q.Get("after"))
	if !ok {
		return nil, newProblem(http.StatusBadRequest, "want what the page before has as next").of("after"), nil
	}
	of := masterdata.PositionKey{Tenant: tenant, Item: q.Get("itemId"), Location: q.Get("locationId")}
	for _, name := range []string{"itemId", "locationId"} {
		if !isText(q.Get(name)) {
			return nil, newProblem(http.StatusBadRequest, "want an id").of(name), nil
		}
	}
	rows, err := stockview.StockAfter(ctx, g.cfg.DB, of, beyond, limit+1)
	page := stockPage{Stock: rows}
	if len(rows) > limit {
		last := rows[limit-1]
		page.Stock = rows[:limit]
		next := url.Values{"after": {placeOf(last)}, "limit": {strconv.Itoa(limit)}}
		for name, value := range map[string]string{"itemId": of.Item, "locationId": of.Location} {
			if value != "" {
				next.Set(name, value)
			}
		}
		page.Next = "/v1/stock?" + next.Encode()
	}
	return page, nil, err
}

// placeOf is the place behind a position, and readPlace reads it: a JSON array of item and location.
func placeOf(s stockview.Stock) string {
	text, _ := json.Marshal([]string{s.Item, s.Location}) // of strings it never fails
	return base64.RawURLEncoding.EncodeToString(text)
}

func readPlace(text string) (p masterdata.PositionKey, ok bool) {
	if text == "" {
		return p, true
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	var parts []string
	if err != nil || json.Unmarshal(raw, &parts) != nil || len(parts) != 2 || !isText(parts[0]) || !isText(parts[1]) {
		return p, false
	}
	p.Item, p.Location = parts[0], parts[1]
	return p, true
}

// order answers with an order of the tenant, by its number or id.
func (g *Gateway) order(ctx context.Context, tenant string, r *http.Request) (any, *problem, error) {
	number := r.PathValue("number")
	if !isText(number) {
		return nil, newProblem(http.StatusBadRequest, "want an order's number").of("number"), nil
	}
	orders, err := purchasing.PurchaseOrders(ctx, g.cfg.DB, purchasing.OrderFilter{Tenant: tenant, Name: number}, 1)
	if err == nil && len(orders) == 0 {
		err = errUnknown
	}
	if err != nil {
		return nil, nil, err
	}
	return orders[0], nil, nil
}

// isText reports whether the database takes it for a name.
func isText(s string) bool {
	return len(s) <= 255 && utf8.ValidString(s) && !strings.ContainsRune(s, 0)
}
