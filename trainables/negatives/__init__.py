"""Which rows of a memory an anchor is held against. The union is the family's table."""

from typing import Annotated

from pydantic import Field

from trainables.negatives.hard import Hard
from trainables.negatives.label_aware import LabelAware
from trainables.negatives.retrieval import Retrieval
from trainables.negatives.ring import Ring
from trainables.negatives.teacher_near import TeacherNear
from trainables.negatives.uniform import Uniform

NegativesConfig = Annotated[Hard | LabelAware | Retrieval | Ring | TeacherNear | Uniform, Field(discriminator="name")]
