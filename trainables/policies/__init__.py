"""How temperature, negatives, sharpness and weight change while a trial runs. The union is the family's table."""

from typing import Annotated

from pydantic import Field

from trainables.policies.anneal import Anneal
from trainables.policies.constant import Constant
from trainables.policies.mi_guided import MIGuided

PolicyConfig = Annotated[Anneal | Constant | MIGuided, Field(discriminator="name")]
