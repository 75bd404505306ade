"""The families and their tables. A member enrols in every contract test by standing in its table."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, TypeVar

from search_spaces.schema import models_in
from trainables.base import Config
from trainables.evaluation import Evaluation
from trainables.evidence import TaskMember
from trainables.memory import MemoryConfig
from trainables.models import ModelConfig
from trainables.negatives import NegativesConfig
from trainables.network import ModelMember
from trainables.objectives import ObjectiveConfig
from trainables.policies import PolicyConfig
from trainables.protocols import MemoryMember, NegativesMember, ObjectiveMember, PolicyMember
from trainables.tasks import TaskConfig

Member = TypeVar("Member", bound=Config)


def members(table: Any, base: type[Member]) -> list[type[Member]]:
    """The members of a family's table, all of which have the family's base."""
    found = []
    for member in models_in(table):
        assert issubclass(member, base), member
        found.append(member)
    return found


#: The tables of the families whose member is chosen by `name`.
NAMED: Mapping[str, Sequence[type[Config]]] = {
    "tasks": members(TaskConfig, TaskMember),
    "models": members(ModelConfig, ModelMember),
    "objectives": members(ObjectiveConfig, ObjectiveMember),
    "memory": members(MemoryConfig, MemoryMember),
    "negatives": members(NegativesConfig, NegativesMember),
    "policies": members(PolicyConfig, PolicyMember),
}

PROBES: list[Any] = Evaluation().probes()

ALL_MEMBERS: list[type[Config]] = [*chain.from_iterable(NAMED.values()), *(type(probe) for probe in PROBES)]
