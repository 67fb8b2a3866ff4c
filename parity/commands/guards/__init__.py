"""Commands on how much may be believed of all others: the tolerances, and the gate."""
