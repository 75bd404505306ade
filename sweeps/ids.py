"""Ids of sweeps, checked before they become part of a path."""

import re
from datetime import datetime

from sweeps.refusals import Refusal

_RULE = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


#: What else lies in a storage folder.
_TAKEN = ("artifacts", "cache")


def is_id(sweep: str) -> bool:
    """Whether a name is one that a sweep may have."""
    return _RULE.fullmatch(sweep) is not None and sweep not in _TAKEN


def check_id(sweep: str) -> str:
    """`sweep` if it is an id; `Refusal` otherwise."""
    if not is_id(sweep):
        raise Refusal(
            "a sweep's id has 1 to 63 lower-case letters, digits and hyphens, the first not a hyphen, and is not "
            f"{' or '.join(_TAKEN)}; this is {sweep!r}. Choose another"
        )
    return sweep


def new_id(name: str) -> str:
    """An id for a new sweep: its name and the time."""
    return f"{name[:47].rstrip('-')}-{datetime.now():%Y%m%d-%H%M%S}"
