"""What is distilled on, and what generalisation is measured on. The union is the family's table."""

from typing import Annotated

from pydantic import Field

from trainables.tasks.cifar100 import Cifar100
from trainables.tasks.digits import Digits
from trainables.tasks.embeddings import Embeddings
from trainables.tasks.images import Images
from trainables.tasks.text import Text

TaskConfig = Annotated[Cifar100 | Digits | Embeddings | Images | Text, Field(discriminator="name")]
