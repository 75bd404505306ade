"""Past embeddings to contrast against. The union is the family's table."""

from typing import Annotated

from pydantic import Field

from trainables.memory.bank import Bank
from trainables.memory.in_batch import InBatch
from trainables.memory.prototypes import Prototypes
from trainables.memory.queue import Queue
from trainables.memory.replay import Replay

MemoryConfig = Annotated[Bank | InBatch | Prototypes | Queue | Replay, Field(discriminator="name")]
