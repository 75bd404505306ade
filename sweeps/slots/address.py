"""Which Ray a sweep is trained on."""

from dataclasses import dataclass

from sweeps.refusals import Refusal


@dataclass(frozen=True)
class RayAt:
    """A cluster at the ``host:port`` of its GCS, or `auto` for the one that this machine is a node of.

    None: started on this machine for the sweep. `open_cluster` says that one which asks nobody for a token is meant.
    """

    address: str | None = None
    open_cluster: bool = False

    @classmethod
    def of(cls, address: str | None, open_cluster: bool) -> "RayAt":
        """As a command is given it. Raises `Refusal` for a dashboard, which is not joined."""
        if is_dashboard(address):
            raise Refusal(
                f"a cluster is joined at the host:port of its GCS, and {address} is its dashboard. Give the GCS's; to "
                "the dashboard sweeps are taken by `python -m sweeps submit`"
            )
        return cls(address, open_cluster) if address else HERE

    def check(self) -> None:
        """Raise `Refusal` where no cluster answers, and `Unsafe` where one answers anybody and that is not meant."""
        from sweeps.slots.authentication import answer_to_a_stranger, refuse_open_cluster

        if (address := self.gcs()) is None:
            return
        if not self.open_cluster or answer_to_a_stranger(address) == "silent":
            refuse_open_cluster(address)

    def gcs(self) -> str | None:
        """``host:port``. Raises `Refusal` for `auto` where no Ray runs."""
        if self.address != "auto":
            return self.address
        from ray._private.services import canonicalize_bootstrap_address  # as `ray.init("auto")` finds it

        try:
            return canonicalize_bootstrap_address("auto")
        except ConnectionError as error:
            raise Refusal("--address auto is for a node of a Ray cluster, and this is none. Give host:port") from error


HERE = RayAt()


def is_dashboard(address: str | None) -> bool:
    """Whether an address is one that jobs are submitted to."""
    return bool(address and address.startswith(("http://", "https://")))
