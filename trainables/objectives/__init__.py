"""Losses of a student against a frozen teacher. The union is the family's table."""

from typing import Annotated

from pydantic import Field

from trainables.objectives.crd import CRD
from trainables.objectives.infonce import InfoNCE
from trainables.objectives.kd import KD

ObjectiveConfig = Annotated[CRD | InfoNCE | KD, Field(discriminator="name")]
