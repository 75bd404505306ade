"""Losses of a student against a frozen teacher. The union is the family's table."""

from typing import Annotated

from pydantic import Field

from trainables.objectives.sum import Single, Sum

ObjectiveConfig = Annotated[Single | Sum, Field(discriminator="name")]
