package inbox

type A struct{}
