package chaos

import "context"

func supplierBusy(_ context.Context, h *environment, _ uint64) (heal, error) {
	h.supplier.behave(busy)
	return h.supplierServes, nil
}

func supplierHangsUp(_ context.Context, h *environment, _ uint64) (heal, error) {
	h.supplier.behave(hangingUp)
	return h.supplierServes, nil
}

func (h *environment) supplierServes(context.Context) error { h.supplier.behave(serving); return nil }
