package event

// Update is set by -update: generated files and examples are written anew, not compared.
var Update = update
