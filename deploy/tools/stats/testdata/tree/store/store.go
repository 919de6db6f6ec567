// Package store is a fixture: the reader shall count it.
package store

const (
	One = 1
	two = 2
)

var Three, Four = 3, 4

type Row struct{}

// Name is a method that shall stay.
func (Row) Name() string { return "" }

func (Row) hidden() {}

func Long() {
	_ = One

	_ = two
}
