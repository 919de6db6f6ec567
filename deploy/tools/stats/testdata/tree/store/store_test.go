package store

import "testing"

func TestLadder(t *testing.T) { // a ladder
}
