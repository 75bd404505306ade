"""What to try next: an Optuna study that is rebuilt from the ledger, asked and told."""
