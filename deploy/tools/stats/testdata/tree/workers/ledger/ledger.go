package ledger

func New() {}
