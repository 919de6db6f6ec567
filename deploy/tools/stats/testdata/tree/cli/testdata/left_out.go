package testdata

func Ladder() {}
