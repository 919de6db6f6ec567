package event

type Type string
