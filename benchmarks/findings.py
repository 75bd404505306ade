"""What contrast buys on digits: eight questions, each with seeds, intervals and the compute that it took.

    python -m benchmarks.findings [--seeds 5] [--only a c] [--folder results/findings]

Prints a section of Markdown for each question; `FINDINGS.md` holds the last ones, with what they say. Every arm of a
question is trained with the same seeds, and differences are taken seed by seed, with the 95% t-interval of their mean.
Where arms compete for a setting, validation chooses it and test judges. Costs are modelled seconds on one CPU core.

Trials that a folder holds already are not trained again. Some half an hour on two cores.
"""

import argparse
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.seed_statistics import interval
from trainables.checkpoint import Checkpoints
from trainables.compute import planned_metrics
from trainables.config import TrialConfig
from trainables.loop import distil, open_teacher
from trainables.metrics import COST_S, DEVICE_SECONDS, gain_metric, on_test, transfer_metric
from trainables.storage import Storage

KNN, SHIFTED_KNN = transfer_metric("transfer", "knn_top1"), transfer_metric("shift", "knn_top1")
SHIFTED_AUROC = transfer_metric("shift", "ood_auroc")
LINEAR = transfer_metric("transfer", "linear_top1")

Tree = dict[str, Any]
#: Of every arm, unless it says otherwise: the best point of `benchmarks.headroom`.
COMMON: Tree = {
    "student": {"name": "convnet", "width": 12},
    "objective": {"name": "crd", "temperature": 0.1},
    "memory": {"name": "bank", "size": 1083},
    "negatives": {"name": "uniform", "count": 256},
    "device": {"name": "cpu-core", "flops_per_s": 5.0e10, "bytes_per_s": 1.0e10},
    "rungs": 1,
}


#: InfoNCE agrees with the memory's row of the sample, as CRD does: question (d) asks what else it may agree with.
OBJECTIVES: dict[str, Tree] = {
    "crd": {"name": "crd", "temperature": 0.1},
    "infonce": {"name": "infonce", "temperature": 0.1, "positive": "memory"},
}


def trial(parts: Mapping[str, Any], seed: int = 0) -> TrialConfig:
    return TrialConfig.model_validate({**COMMON, **parts, "seed": seed})


@dataclass(frozen=True)
class Comparison:
    """One arm against another, on some metrics."""

    arm: str
    against: str
    metrics: tuple[str, ...] = (KNN,)


@dataclass(frozen=True)
class Question:
    letter: str
    heading: str
    arms: Mapping[str, Tree]
    comparisons: tuple[Comparison, ...]
    metrics: tuple[str, ...] = (KNN,)
    #: Of each group of arms (by the text before `@`) the one that is best on validation stands for the group.
    choose: bool = False


def at_equal_cost(parts: Tree, like: Tree) -> Tree:
    """`parts` with as many negatives as the cost of `like` pays for, and one more."""
    wanted = planned_metrics(trial(like))[COST_S]
    rows = trial(parts).memory.rows_kept(trial(parts).batch_size)
    counts = range(1, rows + 1)
    named = [{**parts, "negatives": {**parts["negatives"], "count": count}} for count in counts]
    enough = next((tree for tree in named if planned_metrics(trial(tree))[COST_S] >= wanted), None)
    if enough is None:
        raise ValueError(f"no count of negatives makes {parts} cost {wanted:.3f} s; give it a longer training")
    return enough


def memory_sampled() -> Question:
    """Two readings of the claim: negatives that a memory chooses, and negatives that come from a memory at all."""
    arms: dict[str, Tree] = {}
    comparisons: list[Comparison] = []
    for objective, tree in OBJECTIVES.items():
        for count in (8, 64):
            base = {"objective": tree}
            chosen = {
                "retrieval": {"name": "retrieval", "count": count},
                "retrieval, uncorrected": {"name": "retrieval", "count": count, "corrected": False},
                "teacher_near": {"name": "teacher_near", "count": count},
            }
            random = f"{objective}: uniform, at the cost of retrieval of {count}"
            uniform = {**base, "negatives": {"name": "uniform", "count": count}}
            arms[random] = at_equal_cost(uniform, {**base, "negatives": chosen["retrieval"]})
            for name, negatives in chosen.items():
                arm = f"{objective}: {name}, {count}"
                arms[arm] = {**base, "negatives": negatives}
                comparisons.append(Comparison(arm, random))
        batch = f"{objective}: batch, 63"
        arms[batch] = {
            "objective": tree,
            "memory": {"name": "in_batch"},
            "negatives": {"name": "uniform", "count": 63},
        }
        memory = f"{objective}: memory, 63"
        arms[memory] = {**arms[batch], "memory": COMMON["memory"]}
        comparisons.append(Comparison(memory, batch))
    return Question(
        "a", "Do negatives sampled from memory beat random ones at equal compute?", arms, tuple(comparisons)
    )


def front() -> Question:
    arms = {
        f"memory {size}, negatives {count}, temperature {temperature}": {
            "memory": {"name": "bank", "size": size},
            "negatives": {"name": "uniform", "count": count},
            "objective": {"name": "crd", "temperature": temperature},
        }
        for size in (128, 512, 1083)
        for count in (8, 64, 512)
        if count <= size
        for temperature in (0.05, 0.1, 0.2)
    }
    return Question("b", "The front over memory size, count and temperature", arms, ())


def label_aware() -> Question:
    arms: dict[str, Tree] = {}
    comparisons: list[Comparison] = []
    for objective, tree in OBJECTIVES.items():
        for count in (64, 256):
            aware, uniform = (f"{objective}: {sampler}, {count}" for sampler in ("label_aware", "uniform"))
            for arm, sampler in ((aware, "label_aware"), (uniform, "uniform")):
                arms[arm] = {"objective": tree, "negatives": {"name": sampler, "count": count}}
            comparisons.append(Comparison(aware, uniform))
    return Question("c", "Label-aware against uniform negatives", arms, tuple(comparisons))


def crd_against_infonce() -> Question:
    objectives: dict[str, Tree] = {
        **OBJECTIVES,
        "infonce of the same view": {"name": "infonce", "positive": "current"},
    }
    arms = {
        f"{name}@temperature {temperature}": {"objective": {**tree, "temperature": temperature}}
        for name, tree in objectives.items()
        for temperature in (0.05, 0.1, 0.2, 0.4)
    }
    comparisons = (Comparison("crd", "infonce"), Comparison("infonce", "infonce of the same view"))
    return Question("d", "CRD against InfoNCE at equal negatives", arms, comparisons, choose=True)


def hybrid() -> Question:
    def arm(decoder: str, weight: float) -> Tree:
        contrast = {"weight": 1.0, "objective": {"name": "crd", "temperature": 0.1}}
        likelihood = {"weight": weight, "objective": {"name": "likelihood"}}
        return {
            "student": {"name": "encoder_decoder", "width": 12, "decoder": decoder},
            "objective": {"name": "sum", "terms": {"contrast": contrast, "likelihood": likelihood}},
        }

    arms = {f"hybrid, {decoder}@weight {w}": arm(decoder, w) for decoder in DECODERS for w in (0.1, 0.5, 2.0)}
    arms["contrastive alone"] = arm("reconstruction", 0.0)
    metrics = (SHIFTED_KNN, SHIFTED_AUROC, KNN)
    comparisons = tuple(Comparison(f"hybrid, {decoder}", "contrastive alone", metrics) for decoder in DECODERS)
    heading = "Hybrid against contrastive alone on shifted data"
    return Question("e", heading, arms, comparisons, metrics, choose=True)


DECODERS = ("reconstruction", "autoregressive")


def simskip() -> Question:
    gains = (gain_metric(KNN), gain_metric(LINEAR))
    common = {
        "objective": {"name": "infonce", "positive": "view", "temperature": 0.1},
        "memory": {"name": "in_batch"},
        "negatives": {"name": "uniform", "count": 63},
    }
    arms = {
        f"simskip@mask {mask}, noise {noise}": {
            **common,
            "student": {"name": "adapter", "mask": mask, "noise": noise},
        }
        for mask in (0.1, 0.3)
        for noise in (0.1, 0.3)
    }
    arms["without the skip connection"] = {
        **common,
        "student": {"name": "adapter", "mask": 0.1, "noise": 0.1, "skip": False},
    }
    heading = "SimSkip against the raw embedding"
    return Question("f", heading, arms, (Comparison("simskip", "raw embedding", gains),), gains, choose=True)


def modes() -> Question:
    """At equal steps, that is at equal training and unequal cost."""
    arms: dict[str, Tree] = {}
    comparisons = []
    for objective, tree in OBJECTIVES.items():
        for count in (16, 256):
            names = {mode: f"{objective}: {mode}, {count}" for mode in ("exact", "shared", "full")}
            for mode, name in names.items():
                arms[name] = {"objective": tree, "negatives": {"name": "uniform", "count": count, "mode": mode}}
            comparisons += [Comparison(names[mode], names["exact"]) for mode in ("shared", "full")]
    return Question("g", "Shared draws and the full expectation against independent draws", arms, tuple(comparisons))


def fixed_views() -> Question:
    """What a cache of the teacher's outputs asks for: every trial shows the same few views of a sample, in turn."""
    arms: dict[str, Tree] = {}
    comparisons = []
    for objective, tree in OBJECTIVES.items():
        endless = f"{objective}: a new view every epoch"
        arms[endless] = {"objective": tree}
        for views in (4, 16):
            arms[f"{objective}: {views} views"] = {"objective": tree, "views": views, "teacher_cache": True}
            comparisons.append(Comparison(f"{objective}: {views} views", endless))
    return Question("h", "Fixed views against a new one every epoch", arms, tuple(comparisons))


QUESTIONS: dict[str, Callable[[], Question]] = {
    "a": memory_sampled,
    "b": front,
    "c": label_aware,
    "d": crd_against_infonce,
    "e": hybrid,
    "f": simskip,
    "g": modes,
    "h": fixed_views,
}

Measured = dict[str, NDArray[np.float64]]  # by metric: one value for each seed


@cache
def prepared(folder: str) -> Any:
    """Task and teacher, loaded once in each process: all arms share them."""
    import torch

    torch.set_num_threads(1)
    config = trial({})
    task = config.task.load()
    return task, open_teacher(config.teacher, task, Storage(folder))


def measure(tree: Tree, seed: int, folder: str) -> dict[str, float]:
    config = trial(tree, seed)
    task, teacher = prepared(folder)
    checkpoints = Checkpoints(Storage(folder).folder(config.digest()), config.digest())
    return distil(config, task, teacher, checkpoints, lambda _: "continue").metrics


def answer(question: Question, seeds: int, folder: str, pool: ProcessPoolExecutor) -> str:
    """The section of a question."""
    waiting = {
        arm: [pool.submit(measure, tree, seed, folder) for seed in range(seeds)] for arm, tree in question.arms.items()
    }
    found = {arm: collected([future.result() for future in futures]) for arm, futures in waiting.items()}
    return "\n".join(section(question, found, seeds))


def collected(measures: list[dict[str, float]]) -> Measured:
    return {metric: np.array([each[metric] for each in measures]) for metric in measures[0]}


def section(question: Question, found: dict[str, Measured], seeds: int) -> Iterator[str]:
    yield f"## ({question.letter}) {question.heading}\n"
    spent = sum(float(measured[COST_S].sum()) for measured in found.values())
    measured_s = sum(float(measured[DEVICE_SECONDS].sum()) for measured in found.values())
    yield f"{len(found)} arms x {seeds} seeds; {spent:.0f} modelled seconds, {measured_s:.0f} measured.\n"
    columns = [name for metric in question.metrics for name in (metric, on_test(metric))]
    yield f"| arm | {' | '.join(columns)} | {COST_S} |"
    yield "|---" * (len(columns) + 2) + "|"
    for arm, measured in found.items():
        values = " | ".join(interval(measured[column]) for column in columns)
        yield f"| {arm.replace('@', ', ')} | {values} | {measured[COST_S].mean():.3f} |"
    yield ""
    if not question.comparisons:
        yield from on_the_front(found)
    standing = chosen(found, question.metrics[0]) if question.choose else {arm: arm for arm in found}
    for comparison in question.comparisons:
        yield from verdicts(comparison, found, standing)
    yield ""


def chosen(found: dict[str, Measured], metric: str) -> dict[str, str]:
    """For each group of arms the one whose mean is best on validation."""
    groups: dict[str, list[str]] = {}
    for arm in found:
        groups.setdefault(arm.partition("@")[0], []).append(arm)
    return {group: max(arms, key=lambda arm: found[arm][metric].mean()) for group, arms in groups.items()}


def verdicts(comparison: Comparison, found: dict[str, Measured], standing: Mapping[str, str]) -> Iterator[str]:
    """The difference on validation and on test; a gain is a difference already."""
    first = standing[comparison.arm]
    second = standing.get(comparison.against)
    for metric in comparison.metrics:
        differences = [
            interval(found[first][name] - (found[second][name] if second else 0)) for name in (metric, on_test(metric))
        ]
        against = (second or comparison.against).replace("@", ", ")
        yield f"- {first.replace('@', ', ')} minus {against}, `{metric}`: {differences[0]}; test {differences[1]}"


def on_the_front(found: dict[str, Measured]) -> Iterator[str]:
    """Arms that no other beats on mean validation accuracy and cost."""
    yield "On the front (validation mean against cost; test is reported):\n"
    points = {arm: (measured[COST_S].mean(), measured[KNN].mean()) for arm, measured in found.items()}
    for arm, (cost, accuracy) in sorted(points.items(), key=lambda item: item[1][0]):
        if not any(c <= cost and a >= accuracy and (c, a) != (cost, accuracy) for c, a in points.values()):
            yield f"- {arm}: {interval(found[arm][KNN])} at {cost:.3f} s; test {interval(found[arm][on_test(KNN)])}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", nargs="*", choices=list(QUESTIONS), default=list(QUESTIONS))
    parser.add_argument("--folder", default="results/findings")
    given = parser.parse_args()
    if given.seeds < 2:
        parser.error(f"--seeds must be at least 2, for there to be an interval; it is {given.seeds}")
    prepared(given.folder)  # the teacher is trained before anybody needs it
    # spawned: a fork would share torch's threads
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        for letter in given.only:
            print(answer(QUESTIONS[letter](), given.seeds, given.folder, pool), flush=True)


if __name__ == "__main__":
    main()
