package pg

import (
	"reflect"
	"sync"
)

// states holds one value a type: what a package under store/ keeps in memory for the life of a pool or transaction.
type states struct{ byType sync.Map }

func (s *states) get(of reflect.Type) any {
	if v, ok := s.byType.Load(of); ok {
		return v
	}
	v, _ := s.byType.LoadOrStore(of, reflect.New(of).Interface())
	return v
}

// PoolState returns the pool's one value of type T, made on first use. T must be safe for concurrent use.
func PoolState[T any](db *DB) *T { return db.state.get(reflect.TypeFor[T]()).(*T) }

// TxState returns the transaction's one value of type T, made on first use.
func TxState[T any](tx Tx) *T { return tx.open().state.get(reflect.TypeFor[T]()).(*T) }
