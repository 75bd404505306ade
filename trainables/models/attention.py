"""What networks with attention share."""

from pydantic_core import PydanticCustomError


def refuse_heads(width: int, heads: int) -> None:
    """Raise `PydanticCustomError` unless each of the heads has an equal part of the width."""
    if width % heads:
        rule = "{path} must be a multiple of heads, {heads}; change it to {fitting}"
        fitting = max(1, width // heads) * heads
        context = {"path": "width", "value": width, "heads": heads, "fitting": fitting}
        raise PydanticCustomError("not_a_multiple_of", rule, context)
