"""What makes damage visible: each event carries a digest over itself and all before it, and the sweep the last one.

A database checks how its pages hang together, not what is in them: a flipped bit in a metric is another metric to it.
An event that was changed, lost, moved or added breaks the chain where it stood; those lost at the end are missed by the
sweep's head. What holds the sweep for now (its fence, its owner) changes without an event, and is not covered.
"""

import hashlib
import json

from sqlalchemy import Row


def genesis(sweep: str, uid: str, spec: str) -> str:
    """The head of a ledger without events: its id, its own id, and the text of its sweep file."""
    return _digest([sweep, uid, spec])


def link(before: str, seq: int, at: str, key: str, kind: str, trial: int | None, body: str) -> str:
    """The digest of an event, as its row has it, that follows the one whose digest is `before`."""
    return _digest([before, seq, at, key, kind, trial, body])


def link_of(before: str, row: Row[tuple[object, ...]]) -> str:
    """The digest that a row of the events should have."""
    return link(before, row.seq, row.at, row.key, row.kind, row.trial, row.body)


def _digest(parts: list[object]) -> str:
    # A damaged column may come back as bytes, which JSON does not know.
    return hashlib.sha256(json.dumps(parts, default=repr).encode()).hexdigest()
