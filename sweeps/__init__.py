"""Which trials run and what is kept: command line, search, stopping, slots, ledger, MLflow."""
