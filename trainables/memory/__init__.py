"""Past embeddings to contrast against. The union is the family's table."""

from typing import Annotated

from pydantic import Field

from trainables.memory.bank import Bank
from trainables.memory.in_batch import InBatch
from trainables.memory.queue import Queue

MemoryConfig = Annotated[Bank | InBatch | Queue, Field(discriminator="name")]
