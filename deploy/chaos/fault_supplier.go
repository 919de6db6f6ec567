package chaos

import "context"

func supplierBusy(_ context.Context, h *house, _ uint64) (heal, error) {
	h.supplier.mood(moodBusy)
	return h.supplierServes, nil
}

func supplierAway(_ context.Context, h *house, _ uint64) (heal, error) {
	h.supplier.mood(moodAway)
	return h.supplierServes, nil
}

func (h *house) supplierServes(context.Context) error { h.supplier.mood(moodGood); return nil }
