"""How a sweep searches, when it stops a trial early, and what it may use: the parts of a sweep file but its space."""

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from trainables.base import Config

Seed = Annotated[int, Field(ge=0, lt=2**63)]


class Tpe(Config):
    """Tree-structured Parzen estimator (Bergstra et al. 2011; several goals: Ozaki et al. 2022), the default.

    The first `startup_trials` that end are drawn by chance.
    """

    name: Literal["tpe"] = "tpe"
    seed: Seed = 0
    startup_trials: int = Field(10, ge=1, le=100_000)


class Nsga2(Config):
    """A genetic algorithm (Deb et al. 2002): each generation of `population` trials is bred from the best before it.

    A resumed sweep goes on well, but not exactly as an uninterrupted one would have.
    """

    name: Literal["nsga2"] = "nsga2"
    seed: Seed = 0
    population: int = Field(20, ge=2, le=100_000)


class Random(Config):
    """Independent draws: a baseline that every other search must beat."""

    name: Literal["random"] = "random"
    seed: Seed = 0


class Gp(Config):
    """Gaussian process (expected hypervolume improvement for several goals). Does not learn from pruned trials."""

    name: Literal["gp"] = "gp"
    seed: Seed = 0


class CostAware(Config):
    """The largest expected gain of hypervolume for its cost, which is known before (`sweeps.search.cost_aware`).

    For one measure and one metric of planned compute, or the measure alone. The first `startup_trials` are drawn by
    chance, cheap ones more often; after them the best of `candidates` random trials is taken. Learns from the rungs of
    trials that were stopped.
    """

    name: Literal["cost_aware"] = "cost_aware"
    seed: Seed = 0
    startup_trials: int = Field(10, ge=2, le=100_000)
    candidates: int = Field(500, ge=1, le=100_000)


class Grid(Config):
    """Every combination of at most `points` values of each range and all options of each choice, in a fixed order."""

    name: Literal["grid"] = "grid"
    points: int = Field(3, ge=2, le=10_000)


SearchConfig = Annotated[Tpe | CostAware | Nsga2 | Random | Gp | Grid, Field(discriminator="name")]


class NoStop(Config):
    """Every trial is trained to its end."""

    name: Literal["none"] = "none"


class NonDominated(Config):
    """At each rung the best share `keep` of the trials that reached it goes on.

    They are ranked by non-domination on all goals, at their full cost, and by the room around them where that ties.
    Nobody is judged at a rung before `minimum` trials have reached it.
    """

    name: Literal["non_dominated"] = "non_dominated"
    keep: float = Field(0.5, gt=0, lt=1)
    minimum: int = Field(6, ge=2, le=100_000)


class Asha(Config):
    """At each rung the best of `reduction` trials goes on, by the first goal alone (Li et al. 2020): for comparison."""

    name: Literal["asha"] = "asha"
    reduction: float = Field(3, gt=1, le=1_000)


StopConfig = Annotated[NoStop | NonDominated | Asha, Field(discriminator="name")]


class Budget(Config):
    """What a sweep may use, over all its restarts. It is done when the first of these is used up; give one or more.

    `trials` counts them whatever their state. `cost_s` is modelled seconds on the reference device, `train_flops`
    floating-point operations, both with what was begun and lost. `wall_hours` count while a driver holds the sweep,
    `device_hours` the same for each device of each slot (a GPU, or without any a worker's share of CPUs), and `money`
    is device hours at `price_per_device_hour`. No trial is begun that could not be finished within them.
    """

    trials: int | None = Field(None, ge=1, le=1_000_000)
    cost_s: float | None = Field(None, gt=0)
    train_flops: float | None = Field(None, gt=0)
    wall_hours: float | None = Field(None, gt=0)
    device_hours: float | None = Field(None, gt=0)
    money: float | None = Field(None, gt=0)
    price_per_device_hour: float | None = Field(None, gt=0)

    def caps(self) -> dict[str, float]:
        """The limits that are given, by name."""
        return {name: value for name, value in self if name != "price_per_device_hour" and value is not None}

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if not self.caps():
            names = [name for name in type(self).model_fields if name not in ("trials", "price_per_device_hour")]
            told = "a budget has an end; write `trials: 100`, or one of " + ", ".join(names)
            raise PydanticCustomError("endless", told)
        if (self.money is None) != (self.price_per_device_hour is None):
            where = {"path": "price_per_device_hour", "value": self.price_per_device_hour}
            rule = "money and price_per_device_hour go together; give both, or leave both out"
            raise PydanticCustomError("priceless", rule, where)
        return self


class Bound(Config):
    """What a metric may be at the end of a trial: at least, at most, or both."""

    at_least: float | None = None
    at_most: float | None = None

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the most, infinite where there is none."""
        low = -math.inf if self.at_least is None else self.at_least
        return low, math.inf if self.at_most is None else self.at_most

    def excess(self, value: float) -> float:
        """By how much a value breaks the bound: 0 or less if it keeps it, infinite if it is NaN."""
        low, high = self.ends
        return math.inf if math.isnan(value) else max(low - value, value - high)

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.at_least is None and self.at_most is None:
            told = "a constraint bounds its metric; write `at_least: ...` or `at_most: ...`"
            raise PydanticCustomError("boundless", told)
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            rule = "at_least may not be above at_most, {high}; lower it, or raise at_most"
            where = {"path": "at_least", "value": self.at_least, "high": self.at_most}
            raise PydanticCustomError("empty_bounds", rule, where)
        return self


class SlotClass(Config):
    """Slots of one kind: how many, and what each of the `workers` of a slot has. ``auto``: as many as have room.

    `gpus_per_worker` may be a share of a GPU, which belongs to one worker alone: NCCL wants a GPU for each of several.
    `custom_per_worker` are custom resources of Ray, by which nodes of different kinds are told apart: ``{h100: 0.001}``
    is a place on a node that was started with some ``h100``. `memory_gb` is what a worker has of the memory of its
    device, in 1e9 bytes: a trial whose `compute/peak_bytes` is more is not trained here.
    """

    slots: Annotated[int, Field(ge=1, le=100_000)] | Literal["auto"] = "auto"
    workers: int = Field(1, ge=1, le=10_000)
    cpus_per_worker: int = Field(1, ge=1, le=10_000)
    gpus_per_worker: float = Field(0, ge=0, le=1_000)
    custom_per_worker: dict[str, Annotated[float, Field(gt=0, le=1e6)]] = Field({}, max_length=16)
    memory_gb: float | None = Field(None, gt=0, le=1e9)

    @property
    def memory_bytes(self) -> float:
        """What a worker has; infinite where nothing is said."""
        return math.inf if self.memory_gb is None else 1e9 * self.memory_gb

    def per_worker(self) -> dict[str, float]:
        """What a worker asks for, by Ray's names."""
        gpus = {"GPU": self.gpus_per_worker} if self.gpus_per_worker else {}
        return {"CPU": self.cpus_per_worker, **gpus, **self.custom_per_worker}

    def slots_in(self, cpus: float, gpus: float) -> int:
        """How many slots these are where there are so many CPUs and GPUs; what is asked for, even if it has no room."""
        if self.slots != "auto":
            return self.slots
        room = cpus / (self.workers * self.cpus_per_worker)
        if self.gpus_per_worker:
            room = min(room, gpus / (self.workers * self.gpus_per_worker))
        return max(1, int(room))

    @model_validator(mode="after")
    def _shares(self) -> Self:
        gpus, where = self.gpus_per_worker, {"path": "gpus_per_worker", "value": self.gpus_per_worker}
        if gpus > 1 and gpus % 1:
            rule = "a worker has a share of one GPU, or whole ones; write a whole number, or less than 1"
            raise PydanticCustomError("broken_gpus", rule, where)
        if 0 < gpus < 1 and self.workers > 1:
            rule = "a share of a GPU is for a slot of one worker; write `workers: 1`, or `gpus_per_worker: 1`"
            raise PydanticCustomError("shared_gpus", rule, where)
        return self


class Resources(SlotClass):
    """What a sweep takes of the cluster. A trial is trained by `workers` workers, and `slots` trials run at a time.

    Or slots of several `classes`, by names of your own, each of a known number and memory, such as shares of GPUs,
    whole ones, and groups of them: a trial waits for a slot of the smallest class whose memory holds it, and has as
    many workers as that has. One that no class holds is never drawn.

    A trial that makes no progress for `deadline_s` seconds has hung: no step, no measurement, no report. It is ended as
    failed, its workers are killed and started anew, and it is not tried again. The default is an hour, since it must
    never end a trial that only takes long: training a teacher that the sweep varies counts as one step. ``null`` waits
    for ever.
    """

    deadline_s: float | None = Field(3600, ge=1, le=1e9)
    classes: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")], SlotClass] = Field({}, max_length=16)

    def kinds(self) -> list[SlotClass]:
        """The classes from the one with the least memory in all to the one with the most; at least one."""
        if self.classes:
            return sorted(self.classes.values(), key=lambda kind: kind.workers * kind.memory_bytes)
        return [SlotClass.model_construct(**{name: getattr(self, name) for name in SlotClass.model_fields})]

    def class_of(self, workers: int, peak_bytes: float) -> int | None:
        """The place in `kinds` of the first class of so many workers that holds a trial; None if there is none."""
        for place, kind in enumerate(self.kinds()):
            if kind.workers == workers and peak_bytes <= kind.memory_bytes:
                return place
        return None

    def devices(self, slots: int) -> float:
        """How many devices so many slots hold: GPUs, or without any a worker's share of CPUs each.

        With several classes, all that they have.
        """
        counted = [(int(kind.slots) if self.classes else slots, kind) for kind in self.kinds()]
        return sum(count * kind.workers * (kind.gpus_per_worker or 1.0) for count, kind in counted)

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        said = [name for name in SlotClass.model_fields if getattr(self, name) != SlotClass.model_fields[name].default]
        if self.classes and said:
            rule = "resources are slots of one kind, or of several classes; move {name} into the classes"
            where = {"path": said[0], "value": getattr(self, said[0]), "name": said[0]}
            raise PydanticCustomError("two_forms", rule, where)
        for label, kind in self.classes.items():
            for name in ("slots", "memory_gb"):
                if (value := getattr(kind, name)) in ("auto", None):
                    rule = "each of several classes says how many slots it has, and what memory; give {name} a number"
                    where = {"path": f"classes.{label}.{name}", "value": value, "name": name}
                    raise PydanticCustomError("vague_class", rule, where)
        return self
