package pg

import (
	"reflect"
	"sync"
)

// states holds one value per type: what a package under store/ keeps in memory
// for as long as a pool or a transaction lives.
type states struct{ byType sync.Map }

func (s *states) get(of reflect.Type) any {
	if v, ok := s.byType.Load(of); ok {
		return v
	}
	v, _ := s.byType.LoadOrStore(of, reflect.New(of).Interface())
	return v
}

// PoolState is the pool's one value of type T, made at the first call. T guards
// itself against concurrent use.
func PoolState[T any](db *DB) *T { return db.state.get(reflect.TypeFor[T]()).(*T) }

// TxState is the transaction's one value of type T, made at the first call.
func TxState[T any](tx Tx) *T { return tx.open().state.get(reflect.TypeFor[T]()).(*T) }
