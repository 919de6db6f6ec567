package store

import "testing"

func TestSomebody(t *testing.T) { // somebody
}
