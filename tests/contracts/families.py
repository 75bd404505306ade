"""The families and their tables. A member enrols in every contract test by standing in its table."""

from itertools import chain
from typing import Any

from search_spaces.schema import models_in
from trainables.base import Config
from trainables.evaluation import Evaluation
from trainables.memory import MemoryConfig
from trainables.models import ModelConfig
from trainables.negatives import NegativesConfig
from trainables.objectives import ObjectiveConfig
from trainables.policies import PolicyConfig
from trainables.tasks import TaskConfig

#: The tables of the families whose member is chosen by `name`.
NAMED: dict[str, list[type[Config]]] = {
    "tasks": models_in(TaskConfig),
    "models": models_in(ModelConfig),
    "objectives": models_in(ObjectiveConfig),
    "memory": models_in(MemoryConfig),
    "negatives": models_in(NegativesConfig),
    "policies": models_in(PolicyConfig),
}

PROBES: list[Any] = Evaluation().probes()

ALL_MEMBERS: list[type[Config]] = [*chain.from_iterable(NAMED.values()), *(type(probe) for probe in PROBES)]
