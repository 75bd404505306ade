"""``python -m sweeps``."""

import sweeps.ledger_commands  # noqa: F401 - adds its commands
from sweeps.cli import main

main()
