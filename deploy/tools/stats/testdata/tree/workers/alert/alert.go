package alert

func New() {}
