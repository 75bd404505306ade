"""Means of clusters of samples, found anew every so many steps."""

import warnings
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from trainables.memory.bank import move_, move_operation
from trainables.memory.stream import random_directions
from trainables.protocols import Batch, MemoryMember, Operation, Rows, Shapes
from trainables.randomness import stream_seed

_ITERATIONS = 20  # of Lloyd's algorithm at most, as in the release of PCL
_LEAST = 0.01  # of the mean concentration: a cluster of equal rows has a spread of zero


class Prototypes(MemoryMember):
    """`count` clusters of all source samples, by k-means (Li et al. 2021, arXiv 2005.04966, section 3).

    A bank keeps a row for each sample and side. Its teacher half is clustered; a prototype is the mean direction of its
    samples on either side. The concentration of a prototype is the mean distance of its n samples to the centroid over
    log(n + 10), the largest one for fewer than two samples, clamped to the 10th and 90th percentile and scaled to a
    mean of `temperature`. Until the first clustering prototypes are random directions, to which samples are dealt.

    Departures: k-means runs every `refresh` steps on the rows of the bank (random until written), not each epoch on
    features of a momentum encoder, with one `count` and no warm-up. A concentration is at least 1% of `temperature`.
    """

    keeps_prototypes: ClassVar[bool] = True

    name: Literal["prototypes"] = "prototypes"
    count: int = Field(32, ge=2, le=1_000_000)
    momentum: float = Field(0.5, ge=0, lt=1)
    refresh: int = Field(50, ge=1, le=10_000_000)
    temperature: float = Field(0.1, gt=0, le=10)

    def rows_kept(self, batch: int) -> int:  # noqa: ARG002 (the batch has no say)
        """Rows that an anchor can be held against: the prototypes."""
        return self.count

    def build(self, shapes: Shapes, generator: torch.Generator) -> "PrototypesMemory":
        """The memory of one trial, full of random directions."""
        return PrototypesMemory(self, shapes, generator)

    def operations(self, shapes: Shapes, sides: int) -> list[Operation]:
        """The batch's rows, read and written, and a step's share of a clustering."""
        scores = _ITERATIONS * shapes.samples * self.count
        read = _ITERATIONS * (shapes.samples + self.count) * shapes.width
        return [
            move_operation(shapes.batch, shapes.width, sides),
            Operation("clustering", flops=2 * scores * shapes.width // self.refresh, bytes=4 * read // self.refresh),
        ]

    def resident_bytes(self, shapes: Shapes, sides: int) -> int:
        """Prototypes with their concentrations, and the rows of all samples with their assignments."""
        width = sides * shapes.width * 4
        return self.count * (width + 4) + shapes.samples * (width + 8)


class PrototypesMemory(nn.Module):
    """See `Prototypes`. Each clustering is seeded by a seed and the count of writes, both in buffers."""

    student_MD: Tensor
    teacher_MD: Tensor
    concentration_M: Tensor
    student_ND: Tensor
    teacher_ND: Tensor
    prototype_N: Tensor
    written: Tensor
    seed: Tensor

    def __init__(self, config: Prototypes, shapes: Shapes, generator: torch.Generator) -> None:
        super().__init__()
        self.config = config
        for rows, count in (("MD", config.count), ("ND", shapes.samples)):
            for side in ("student", "teacher"):
                self.register_buffer(f"{side}_{rows}", random_directions(count, shapes.width, generator))
        self.register_buffer("concentration_M", torch.full((config.count,), config.temperature))
        self.register_buffer("prototype_N", torch.randperm(shapes.samples, generator=generator) % config.count)
        self.register_buffer("written", torch.tensor(0))
        self.register_buffer("seed", torch.randint(2**62, (), generator=generator))

    def keys(self, sample_B: Tensor) -> Tensor:
        """The prototype of each sample."""
        return self.prototype_N[sample_B]

    def rows(self, batch: Batch) -> Rows:  # noqa: ARG002 (only the past)
        """The prototypes."""
        key_M = torch.arange(self.config.count, device=self.student_MD.device)
        return Rows(self.student_MD, self.teacher_MD, key_M, concentration_M=self.concentration_M)

    def positives(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The current embeddings; an anchor's own prototype is the row of its key."""
        return batch.student_BD, batch.teacher_BD

    def write(self, batch: Batch) -> None:
        """Move the batch's rows, and after every `refresh` writes cluster all rows."""
        move_(self.student_ND, batch.sample_B, batch.student_BD, self.config.momentum)
        move_(self.teacher_ND, batch.sample_B, batch.teacher_BD, self.config.momentum)
        self.written += 1
        if self.written % self.config.refresh == 0:
            self._cluster()

    def _cluster(self) -> None:
        seed = stream_seed(int(self.seed), "prototypes", int(self.written))
        centroid_MD, prototype_N = _k_means(self.teacher_ND, self.config.count, seed)
        self.prototype_N.copy_(prototype_N)
        samples_M = self.prototype_N.bincount(minlength=self.config.count)
        student_MD = torch.zeros_like(self.student_MD).index_add_(0, self.prototype_N, self.student_ND)
        held_M1 = (samples_M > 0).unsqueeze(1)  # a prototype without samples, of no direction, stays where it was
        for side_MD, mean_MD in ((self.student_MD, student_MD), (self.teacher_MD, centroid_MD)):
            side_MD.copy_(torch.where(held_M1, nn.functional.normalize(mean_MD, dim=1), side_MD))
        distance_N = (self.teacher_ND - centroid_MD[self.prototype_N]).norm(dim=1)
        distance_M = torch.zeros_like(self.concentration_M).index_add_(0, self.prototype_N, distance_N)
        self.concentration_M.copy_(self.config.temperature * concentrations(distance_M, samples_M))


def concentrations(distance_M: Tensor, samples_M: Tensor) -> Tensor:
    """Spread of each cluster in units of their mean, (M,), from its sum of distances and its number of samples."""
    spread_M = distance_M / (samples_M * (samples_M + 10).log())
    spread_M = torch.where(samples_M > 1, spread_M, 0)
    spread_M = torch.where(samples_M > 1, spread_M, spread_M.max())
    low, high = spread_M.quantile(spread_M.new_tensor([0.1, 0.9]))
    spread_M = spread_M.clamp(low, high)
    return (spread_M / spread_M.mean()).nan_to_num(1).clamp_min(_LEAST)  # 0 / 0 where all rows are their centroids


def _k_means(rows_ND: Tensor, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Centroids (count, D), and the cluster of each row (N,)."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    k_means = KMeans(count, n_init=1, max_iter=_ITERATIONS, random_state=seed % 2**32)
    # On one thread: sums of several would come in any order, and every worker must find the same clusters.
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different rows than clusters: some stay empty
        k_means.fit(rows_ND.cpu().numpy())
    centroid_MD, cluster_N = torch.from_numpy(k_means.cluster_centers_), torch.from_numpy(k_means.labels_)
    return centroid_MD.to(rows_ND), cluster_N.to(rows_ND.device, torch.long)
