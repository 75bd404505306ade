"""What a check found."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, how it is, what was found, and what to do where it is not well.

    A `problem` would stop a sweep; with `security` it would let somebody else in, or run what nobody should.
    """

    check: str
    state: State
    found: str
    fix: str = ""
    security: bool = False

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def exit_code(findings: list[Finding]) -> int:
    """0 without problems, 6 with one of security, else 2: what a sweep would be refused with."""
    problems = [finding for finding in findings if finding.state == "problem"]
    if any(finding.security for finding in problems):
        return 6
    return 2 if problems else 0
