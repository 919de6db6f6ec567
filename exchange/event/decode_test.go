package event_test

import (
	"reflect"
	"testing"

	"github.com/composerp/composerp/exchange/event"
)

// TestOrderOfFieldsIsFree: encoding/json writes maps by their keys' order, which is not the envelope's.
func TestOrderOfFieldsIsFree(t *testing.T) {
	t.Parallel()
	for _, typ := range event.Types() {
		want := exampleOf(t, typ)
		got, err := event.DecodeOutside([]byte(sortKeys(t, want.Body)))
		if err != nil {
			t.Fatal(err)
		}
		got.Body = want.Body
		if !reflect.DeepEqual(got, want) {
			t.Errorf("in another order\n%+v\nis read as\n%+v", want, got)
		}
	}
}

// TestBodyIsTheEventsOwn: an event's strings stay valid when the parser's memory is reused.
func TestBodyIsTheEventsOwn(t *testing.T) {
	t.Parallel()
	want := exampleOf(t, event.TypeSaleCompleted)
	again := exampleOf(t, event.TypeSaleCompleted)
	for _, typ := range event.Types() {
		exampleOf(t, typ)
	}
	if !reflect.DeepEqual(want, again) {
		t.Errorf("%+v has become %+v", again, want)
	}
}
