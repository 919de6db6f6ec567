package projection

func init() { page = 40 } // many transactions for few events
