package event

// Update is the flag -update: the tests write generated files and examples instead of comparing them.
var Update = update
