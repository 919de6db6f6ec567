package worker

func New() {}
