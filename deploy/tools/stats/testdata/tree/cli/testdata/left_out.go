package testdata

func Nobody() {}
