"""Which Ray a sweep is trained on. Loads nothing of it."""

import os
from dataclasses import dataclass

from sweeps.refusals import Refusal


@dataclass(frozen=True)
class RayAt:
    """A cluster at the ``host:port`` of its GCS, or `auto` for the one that this process is a job of.

    None: started on this machine for the sweep. `open_cluster` says that one which asks nobody for a token is meant.
    """

    address: str | None = None
    open_cluster: bool = False

    def gcs(self) -> str | None:
        """``host:port``. Raises `Refusal` for `auto` outside of a job."""
        if self.address != "auto":
            return self.address
        if found := os.environ.get("RAY_ADDRESS"):
            return found
        raise Refusal(
            "`--address auto` is for a job of a cluster, which RAY_ADDRESS names; it is not set. Give host:port"
        )


HERE = RayAt()
