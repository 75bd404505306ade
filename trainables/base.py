"""The base of every configuration record: frozen, strict, and with no key that it does not know."""

from typing import Any

from pydantic import BaseModel, ConfigDict

Misfit = tuple[str, Any, str, str]
"""A rule that a config breaks: the path of the field, its value, the rule and the fix."""


class Config(BaseModel):
    """A frozen record that refuses unknown keys, NaN and infinity, and silent conversions.

    Built from a config file only through `search_spaces.sweep_file`, whose error list names field, value, rule and fix.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=True)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values: what the ledger keeps and what `model_validate` takes back."""
        return self.model_dump(mode="json")
