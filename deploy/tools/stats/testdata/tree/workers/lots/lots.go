package lots

func New() {}
