"""Items with clauses: data, train and deploy, from their trees to the typed program."""
