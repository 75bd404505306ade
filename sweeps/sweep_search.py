"""The search of a ledger's sweep, as its driver has it: that of its file, or of a confirmation."""

from collections.abc import Mapping
from typing import Any

from search_spaces.space import Space
from search_spaces.sweep_file import SweepFile
from sweeps.confirmation.plan import CONFIRMS, aims_of
from sweeps.confirmation.replication import Replication
from sweeps.ledger.history import TrialRecord
from sweeps.search.planning import search_of
from sweeps.search.protocol import Search


def sweep_search(spec: Mapping[str, Any], space: Space, file: SweepFile, known: Mapping[int, TrialRecord]) -> Search:
    """A search that knows nothing yet; `spec` is the ledger's, `known` its trials, kept up to date."""
    if CONFIRMS in spec:
        return Replication(spec[CONFIRMS], aims_of(spec))
    return search_of(space, file, known)
