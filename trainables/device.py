"""The device that costs are stated on: not where a trial runs, but what its operations would take there."""

from pydantic import Field

from trainables.base import Config
from trainables.protocols import Operation


class Device(Config):
    """A reference device: its two rates. The default is an H200 (bfloat16 matrix products, HBM3e)."""

    name: str = "h200"
    flops_per_s: float = Field(7.9e14, gt=0)
    bytes_per_s: float = Field(4.3e12, gt=0)

    def seconds(self, operation: Operation) -> float:
        """The shortest time in which the device could do it."""
        return max(operation.flops / self.flops_per_s, operation.bytes / self.bytes_per_s)
