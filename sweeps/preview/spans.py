"""A number that is not known for certain: between two ends, with a best guess."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Span:
    """From `least` to `most`, both possible; `likely` lies between them."""

    least: float
    likely: float
    most: float

    @classmethod
    def exactly(cls, value: float) -> Self:
        """A number that is known."""
        return cls(value, value, value)

    def at_most(self, cap: float) -> "Span":
        """The same, where nothing can exceed a cap."""
        return Span(*(min(cap, end) for end in (self.least, self.likely, self.most)))

    @property
    def exact(self) -> bool:
        """Whether it is known."""
        return self.least == self.most
