package worker_test

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// A handler's transaction offers no SQL, no Commit and no Rollback.
func TestWhatAHandlerMayDo(t *testing.T) {
	t.Parallel()
	typ := reflect.TypeFor[*worker.Tx]()
	var methods []string
	for i := range typ.NumMethod() {
		methods = append(methods, typ.Method(i).Name)
	}
	if want := []string{"Emit", "For"}; !slices.Equal(methods, want) {
		t.Errorf("the methods are %v, want %v", methods, want)
	}
	for _, field := range reflect.VisibleFields(typ.Elem()) {
		if field.IsExported() {
			t.Errorf("the field %s is exported", field.Name)
		}
	}
}

// Where several events or none are in hand, Emit has no cause and refuses.
func TestEmitWithoutACause(t *testing.T) {
	t.Parallel()
	db := storetest.DB(t)
	batch := worker.New("echo", worker.OnBatch(func(_ context.Context, tx *worker.Tx, _ []event.Any) error {
		return tx.Emit("a-1", 0, anyPayload("shop"))
	}, event.TypeSaleCompleted))
	if emitted, err := workertest.Handle(t, db, batch, workertest.Sale(t, "cup", "shop", "1")); err == nil || !strings.Contains(err.Error(), "tx.For(cause)") || len(emitted) != 0 {
		t.Errorf("OnBatch emitted %d events, %v", len(emitted), err)
	}
	timer := timed(short, func(_ context.Context, tx *worker.Tx) (bool, error) {
		return false, tx.Emit("a-1", 0, anyPayload("shop"))
	})
	if emitted, _, err := timer.RunTimer(t.Context(), db); err == nil || !strings.Contains(err.Error(), "tx.For(cause)") || len(emitted) != 0 {
		t.Errorf("Every emitted %d events, %v", len(emitted), err)
	}
}

// uncatalogued is a payload whose type the catalogue lacks.
type uncatalogued struct{ event.SaleCompleted }

func (uncatalogued) EventType() event.Type { return "SALE_DREAMT_OF" }

// A subscription to a type that the catalogue lacks would be a binding without a key, and a worker without events.
func TestATypeThatTheCatalogueLacksIsRefused(t *testing.T) {
	t.Parallel()
	for name, option := range map[string]worker.Option{
		"On":      worker.On(func(context.Context, *worker.Tx, event.Of[uncatalogued]) error { return nil }),
		"OnBatch": worker.OnBatch(func(context.Context, *worker.Tx, []event.Any) error { return nil }, "SALE_DREAMT_OF"),
		"OnCall":  worker.OnCall(func(context.Context, event.Of[uncatalogued]) (worker.Record, error) { return nil, nil }),
		"OnPreparedCall": worker.OnPreparedCall(func(context.Context, *worker.Tx, event.Of[uncatalogued]) (int, error) { return 0, nil },
			func(context.Context, event.Of[uncatalogued], int) (worker.Record, error) { return nil, nil }),
		"OnPreparedCalls": worker.OnPreparedCalls(func(context.Context, *worker.Tx, []event.Any) ([]*int, error) { return nil, nil },
			func(context.Context, event.Any, int) (worker.Record, error) { return nil, nil }, "SALE_DREAMT_OF"),
	} {
		func() {
			defer func() {
				if message, _ := recover().(string); !strings.Contains(message, `worker dreamer`) || !strings.Contains(message, `"SALE_DREAMT_OF"`) {
					t.Errorf("%s: want the worker and the type named, got %q", name, message)
				}
			}()
			worker.New("dreamer", option)
		}()
	}
}
