package chaos

import "context"

func supplierBusy(_ context.Context, env *environment, _ uint64) (heal, error) {
	env.supplier.behave(busy)
	return env.supplierServes, nil
}

func supplierHangsUp(_ context.Context, env *environment, _ uint64) (heal, error) {
	env.supplier.behave(hangingUp)
	return env.supplierServes, nil
}

func (env *environment) supplierServes(context.Context) error {
	env.supplier.behave(serving)
	return nil
}
