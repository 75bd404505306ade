"""Nothing changes while the trial runs."""

from typing import Literal

from trainables.protocols import Decision, Estimates, PolicyMember


class Constant(PolicyMember):
    """The config as it stands, at every step: what the reconstructed loss policies are held against.

    A loss policy is the idea of Lengerich et al. 2022 (arXiv 2212.11353), whose text could not be read.

    Departures: reconstruction; this is the policy that does nothing.
    """

    name: Literal["constant"] = "constant"

    def decide(self, progress: float, estimates: Estimates | None) -> Decision:  # noqa: ARG002 (nothing matters)
        """All factors 1."""
        return Decision()
