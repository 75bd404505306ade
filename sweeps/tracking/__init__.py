"""MLflow, where people look: which one, what it is told of a sweep, and how that gets there from the ledger."""
