"""What can happen in a sweep. The ledger keeps these, in order; everything else is derived from them.

The driver alone writes events. Those that a slot causes (`Started`, `Reported`, `Ended`) reach it through the pool.
What a trial spends is charged before it is trained (`sweeps.spending`): up to the first rung by `Planned`, up to the
next one by each `Reported` that lets it continue, and once more by `Granted` for what may have to be trained again.
Every event has a `key` that names what happened rather than when, so that telling it twice changes nothing.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

from search_spaces.secrets import redacted
from trainables.outcomes import FailureKind, Verdict

TrialState = Literal["waiting", "running", "complete", "pruned", "failed"]


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Opened(_Event):
    """A driver took the sweep: at its start and at every resume."""

    kind: Literal["opened"] = "opened"
    fence: int
    host: str
    pid: int
    code_digest: str
    data_digest: str
    environment: dict[str, str]
    devices: float = 1.0  # how many it holds until it lets go; older ledgers do not say
    patch: str | None = None  # SHA-256 of what its code has over its commit (`sweeps.reproduction.code_state`)

    @property
    def key(self) -> str:
        """One per fencing token."""
        return f"opened/{self.fence}"


class Budgeted(_Event):
    """The sweep was given more than its file says, or less: these parts of its budget are in force from now on."""

    kind: Literal["budgeted"] = "budgeted"
    fence: int
    budget: dict[str, int | float]

    @property
    def key(self) -> str:
        """One per fencing token."""
        return f"budgeted/{self.fence}"


class Planned(_Event):
    """A trial was suggested: its config is fixed and its full compute is known."""

    kind: Literal["planned"] = "planned"
    trial: int
    config: dict[str, Any]
    config_digest: str
    parameters: dict[str, Any]  # what the sampler chose, by parameter name (`search_spaces.space`)
    distributions: dict[str, str]  # Optuna's JSON of the range each was chosen from
    sampler_attributes: dict[str, Any]  # what the sampler must find again when the study is rebuilt
    compute: dict[str, float]  # planned metrics (`trainables.metrics.PLANNED_METRICS`)
    rungs: list[float] = [1.0]  # the fidelity at each rung; older ledgers do not say
    told: int  # number of the last event the sampler knew of

    @property
    def key(self) -> str:
        """One per trial."""
        return f"planned/{self.trial}"


class Granted(_Event):
    """Another attempt of a trial may begin. Its first is granted by `Planned`."""

    kind: Literal["granted"] = "granted"
    trial: int
    attempt: int

    @property
    def key(self) -> str:
        """One per attempt."""
        return f"granted/{self.trial}/{self.attempt}"


class Worker(_Event):
    """A Ray Train worker that trains an attempt, as its Train context says."""

    rank: int
    world_size: int
    pid: int
    host: str
    node_id: str
    experiment: str


class Started(_Event):
    """The workers of a slot took a trial."""

    kind: Literal["started"] = "started"
    trial: int
    attempt: int
    slot: int
    slot_trials: int  # how many trials this worker group had trained before
    workers: list[Worker]

    @property
    def key(self) -> str:
        """One per attempt."""
        return f"started/{self.trial}/{self.attempt}"


class Reported(_Event):
    """A trial reached a rung; `verdict` is the answer it was given."""

    kind: Literal["reported"] = "reported"
    trial: int
    attempt: int
    rung: int
    step: int
    fidelity: float
    metrics: dict[str, float]
    verdict: Verdict | None = None

    @property
    def key(self) -> str:
        """One per rung of a trial, whichever attempt got there first."""
        return f"reported/{self.trial}/{self.rung}"


class Ended(_Event):
    """A trial reached a terminal state."""

    kind: Literal["ended"] = "ended"
    trial: int
    attempt: int
    state: Literal["complete", "pruned", "failed"]
    step: int = 0
    fidelity: float = 0.0
    metrics: dict[str, float] = Field(default_factory=dict)
    weights_digest: str | None = None
    failure: FailureKind | None = None
    message: Annotated[str, AfterValidator(redacted)] | None = None  # of any exception: it may quote a password

    @property
    def key(self) -> str:
        """One per trial: the first end stands."""
        return f"ended/{self.trial}"


class Lost(_Event):
    """The workers of an attempt are gone, and the trial waits for another to be granted: for the driver's ears only."""

    kind: Literal["lost"] = "lost"
    trial: int
    attempt: int


class Closed(_Event):
    """The driver let go of the sweep."""

    kind: Literal["closed"] = "closed"
    fence: int
    reason: Literal["done", "stopped", "interrupted", "error"]

    @property
    def key(self) -> str:
        """One per fencing token."""
        return f"closed/{self.fence}"


SlotEvent = Started | Reported | Lost | Ended
Event = Annotated[
    Opened | Budgeted | Planned | Granted | Started | Reported | Ended | Closed, Field(discriminator="kind")
]
EVENT: TypeAdapter[Event] = TypeAdapter(Event)
