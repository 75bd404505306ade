"""Sweep files and ``--set``: what they load to, and everything that is wrong with them at once."""

import subprocess
import sys
from pathlib import Path

import pytest

from search_spaces.errors import ConfigErrors, Problem
from search_spaces.policies import Grid, NonDominated, Random, Tpe
from search_spaces.sweep_file import LoadedSweep, load
from trainables.config import TrialConfig
from trainables.objectives.sum import Sum

GOOD = """\
name: small
trial:
  objective: {name: crd, temperature: {float: [3e-2, 0.5], log: true}}
  memory: {name: bank, size: {int: [16, 1024], log: true}}
  negatives: {name: uniform, count: {int: [8, 1024], log: true, at_most: memory.size}}
goals: {transfer/knn_top1: maximize, compute/cost_s: minimize}
budget: {trials: 3}
"""

TEN_MISTAKES = """\
name: small
trial:
  objective: {name: crd, tempreature: {float: [0.03, 0.5], log: true}}
  memory: {name: bank, size: {int: [16, 4096], log: true}}
  negatives: {name: uniform, count: {int: [64, 8], at_most: memory.size}}
  batch_size: {choice: [-1, 32]}
  steps: 010
goals: {transfer/knn_top: maximize}
search: {name: gp}
stop: {name: non_dominated}
budget: {trials: 0}
budget: {trials: 7}
gaols: {}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "sweep.yaml"
    path.write_text(text)
    return path


def loaded(folder: Path, *overrides: str, text: str = GOOD) -> LoadedSweep:
    return load(write(folder, text), overrides)


def problems(folder: Path, *overrides: str, text: str = GOOD) -> list[Problem]:
    with pytest.raises(ConfigErrors) as caught:
        loaded(folder, *overrides, text=text)
    return list(caught.value.problems)


def test_a_file_states_only_what_differs_from_the_defaults(tmp_path: Path) -> None:
    sweep = loaded(tmp_path)
    assert sweep.file.search == Tpe()
    assert sweep.file.resources.slots == "auto"
    assert list(sweep.file.goals) == ["transfer/knn_top1", "compute/cost_s"]
    assert tuple(leaf.path for leaf in sweep.space.leaves) == (
        "objective.temperature",
        "memory.size",
        "negatives.count",
    )
    assert sweep.source == GOOD


def test_the_digest_is_of_what_is_said_and_not_of_how(tmp_path: Path) -> None:
    digest = loaded(tmp_path).digest
    assert loaded(tmp_path, text=f"# a comment\n{GOOD}search: {{name: tpe}}\n").digest == digest
    assert loaded(tmp_path, "search.seed=0").digest == digest
    assert loaded(tmp_path, "search.seed=1").digest != digest


def test_ten_mistakes_are_ten_problems(tmp_path: Path) -> None:
    found = problems(tmp_path, text=TEN_MISTAKES)
    places = [
        (3, "trial.objective.tempreature"),
        (4, "trial.memory.size"),
        (5, "trial.negatives.count.int"),
        (6, "trial.batch_size.choice.0"),
        (7, "trial.steps"),
        (8, "goals.transfer/knn_top"),
        (10, "stop.name"),
        (11, "budget.trials"),
        (12, "budget"),
        (13, "gaols"),
    ]
    assert [(problem.where, problem.path) for problem in found] == [
        (f"sweep.yaml:{line}", path) for line, path in places
    ]
    assert all(problem.rule and problem.fix for problem in found)


def test_a_problem_is_shown_with_line_value_rule_and_fix(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors) as caught:
        loaded(tmp_path, text=GOOD.replace("{int: [16, 1024], log: true}", "-3").replace(", at_most: memory.size", ""))
    text = str(caught.value)
    assert text.startswith("sweep.yaml: ")
    assert "sweep.yaml:4  trial.memory.size = -3\n    rule: must be at least 2\n    fix:  write 2 or more" in text


WRONG = [
    ("goals={}", "goals", "at least 1", "add items"),
    ("goals={train/loss: minimize}", "goals.train/loss", "validation measure", "use one of: transfer/knn_top1"),
    ("goals.compute/cost_s=minimise", "goals.compute/cost_s", "maximize, minimize", "`minimize`"),
    ("budget.trials=10000001", "budget.trials", "at most 1000000", "or less"),
    ("budget={}", "budget", "a budget has an end", "write `trials: 100`, or one of cost_s, train_flops"),
    ("budget={money: 3}", "budget.price_per_device_hour", "go together", "give both"),
    ("budget={cost_s: 0}", "budget.cost_s", "greater than 0", "above 0"),
    ("budget={cots_s: 3, trials: 1}", "budget.cots_s", "no such key", "`cost_s`"),
    ("constraints={train/loss: {at_most: 3}}", "constraints.train/loss", "validation measure", "use one of"),
    ("constraints={test/transfer/knn_top1: {at_least: 0}}", "constraints.test/transfer/knn_top1", "validation", "`"),
    ("constraints={compute/peak_bytes: {}}", "constraints.compute/peak_bytes", "bounds its metric", "`at_most: ...`"),
    ("constraints={compute/peak_bytes: 3}", "constraints.compute/peak_bytes", "a mapping", "a mapping"),
    (
        "resources={workers: 2, gpus_per_worker: 0.5}",
        "resources.gpus_per_worker",
        "a slot of one worker",
        "`workers: 1`",
    ),
    ("resources.gpus_per_worker=1.5", "resources.gpus_per_worker", "a share of one GPU", "a whole number"),
    ("resources.memory_gb=0.00001", "resources.memory_gb", "the smallest takes", "give a class more memory_gb"),
    (
        "resources.classes={small: {slots: 1}}",
        "resources.classes.small.memory_gb",
        "each of several classes",
        "a number",
    ),
    (
        "resources={slots: 2, classes: {small: {slots: 1, memory_gb: 1}}}",
        "resources.slots",
        "slots of one kind, or of several classes",
        "move slots into the classes",
    ),
    (
        "resources.classes={a: {slots: 1, memory_gb: 0.00001}, b: {slots: 1, workers: 2, memory_gb: 0.00001}}",
        "resources.classes",
        "some trial must fit into a slot",
        "narrow the space",
    ),
    (
        "constraints={transfer/cka: {at_least: 2, at_most: 1}}",
        "constraints.transfer/cka.at_least",
        "may not be above at_most, 1",
        "lower it",
    ),
    (
        "constraints={compute/peak_bytes: {at_most: 10}}",
        "constraints.compute/peak_bytes",
        "some trial must keep it, and compute/peak_bytes is from",
        "loosen it",
    ),
    ("resources.slots=many", "resources.slots", "a whole number, or must be one of: auto", "without quotes"),
    ("search={name: tpw}", "search.name", "one of: tpe, cost_aware, nsga2, random, gp, grid", "`tpe`"),
    ("stop={name: non_dominated, keep: 1}", "stop.keep", "less than 1", "below 1"),
    ("trial=3", "trial", "a mapping", "a mapping"),
    ("trial.memory.sise=3", "trial.memory.sise", "no such key", "`size`"),
    ("trial.memory.size.int.2=3", "trial.memory.size.int.2", "from 0 to 1", "the whole list"),
    ("name.first=x", "name.first", "no parts", "--set 'name={first: ...}'"),
    ("search.seed", "search.seed", "path=value", "search.seed=3"),
    ("=3", "", "path=value", "search.seed=3"),
    ("search.seed=", "search.seed", "holds a value", "write one"),
    ("search.seed=[1", "search.seed", "must be YAML", "correct"),
    ("search.seed=010", "search.seed", "octal", "remove the zero"),
]


@pytest.mark.parametrize(("override", "path", "rule", "fix"), WRONG)
def test_a_wrong_override_is_one_problem_on_the_command_line(
    tmp_path: Path, override: str, path: str, rule: str, fix: str
) -> None:
    [problem] = problems(tmp_path, override)
    assert problem.path == path
    assert problem.where == "--set"
    assert rule in problem.rule
    assert fix in problem.fix


@pytest.mark.parametrize(
    "goals",
    [
        "{transfer/knn_top1: maximize, transfer/linear_top1: maximize}",
        "{compute/cost_s: minimize}",
        "{transfer/knn_top1: maximize, compute/cost_s: maximize}",
    ],
)
def test_cost_aware_is_offered_for_one_measure_and_what_it_costs(tmp_path: Path, goals: str) -> None:
    [problem] = problems(tmp_path, "search={name: cost_aware}", f"goals={goals}")
    assert problem.path == "search.name"
    assert "one measure" in problem.rule
    assert "search with tpe" in problem.fix
    good = "goals={transfer/knn_top1: maximize, compute/train_flops: minimize}"
    assert loaded(tmp_path, "search={name: cost_aware}", good).file.search.name == "cost_aware"


def test_gp_is_offered_without_stopping_only(tmp_path: Path) -> None:
    assert loaded(tmp_path, "search.name=gp").file.search.name == "gp"
    [problem] = problems(tmp_path, "search.name=gp", "stop={name: non_dominated}")
    assert "learns nothing" in problem.rule
    assert "{name: none}" in problem.fix


def test_overrides_change_any_part(tmp_path: Path) -> None:
    sweep = loaded(
        tmp_path,
        "search={name: grid, points: 4}",
        "stop={name: non_dominated, keep: 0.25}",
        "trial.memory.size.int=[8,64]",
        "trial.batch_size=16",
        "trial.optimizer.learning_rate=1e-3",
        "resources.slots=2",
    )
    assert sweep.file.search == Grid(points=4)
    assert sweep.file.stop == NonDominated(keep=0.25)
    assert sweep.file.resources.slots == 2
    first = next(sweep.space.enumerate(4)).config
    config = TrialConfig.model_validate(first)
    assert (config.memory.model_dump()["size"], config.batch_size, config.optimizer.learning_rate) == (8, 16, 1e-3)


def test_a_part_of_an_unwritten_default_can_be_set(tmp_path: Path) -> None:
    assert loaded(tmp_path, "search.seed=3").file.search == Tpe(seed=3)
    text = GOOD.replace("  memory: {name: bank, size: {int: [16, 1024], log: true}}\n", "")
    assert loaded(tmp_path, "trial.memory.size=99", text=text).file.trial["memory"] == {"name": "bank", "size": 99}


@pytest.mark.parametrize("member", ["trial.teacher.model.name=vit", "trial.objective.name=sum"])
def test_another_member_brings_its_own_defaults_whatever_comes_first(tmp_path: Path, member: str) -> None:
    part = "trial.teacher.model.depth=2" if "teacher" in member else "trial.objective.terms.crd.weight=2.0"
    text = SUM.replace("objective: {name: sum}", "")
    first, last = loaded(tmp_path, part, member, text=text), loaded(tmp_path, member, part, text=text)
    assert first.file == last.file
    model = {"name": "vit", "depth": 2}
    terms = {"kd": {"objective": {"name": "kd"}}, "crd": {"weight": 2.0, "objective": {"name": "crd"}}}
    expected = {"teacher": {"model": model}} if "teacher" in member else {"objective": {"name": "sum", "terms": terms}}
    assert first.file.trial == expected


def test_a_part_of_a_default_term_can_be_set_and_the_rest_stays(tmp_path: Path) -> None:
    trial = loaded(tmp_path, "trial.objective.terms.crd.weight=2.0", text=SUM).file.trial
    terms = TrialConfig.model_validate({"objective": trial["objective"]}).objective.model_dump()["terms"]
    expected = Sum().model_dump()["terms"]
    expected["crd"]["weight"] = 2.0
    assert terms == expected


def test_a_part_of_what_is_not_there_is_set_and_then_refused(tmp_path: Path) -> None:
    [problem] = problems(tmp_path, "trial.studnt.width=3")
    assert (problem.path, problem.value) == ("trial.studnt", {"width": 3})
    assert "`student`" in problem.fix


SUM = """\
name: small
trial: {objective: {name: sum}}
goals: {transfer/knn_top1: maximize}
budget: {trials: 3}
"""
TERM = "trial.objective.terms={kd: {objective: {name: kd}}, %s}"

REFUSED = [
    ("trial.objective={name: pcl}", "trial.memory.name", "prototypes", "memory: {name: prototypes}"),
    ("trial.memory={name: queue, size: 32}", "trial.negatives.count", "at most the rows", "32 or less"),
    ("trial.negatives={name: ring, lower: 0.9, upper: 0.5}", "trial.negatives.lower", "below upper, 0.5", "lower it"),
    ("trial.student={name: resnet, depth: 9}", "trial.student.depth", "one of: 8, 14, 20,", "`8`"),
    ("trial.student={name: resnet, depth: {int: [8, 20]}}", "trial.student.depth", "reaches", "a `choice`"),
    ("trial.objective={name: compress, queues: 3}", "trial.objective.queues", "one of: 1, 2", "`2`"),
    (
        TERM % "a: {objective: {temperature: 1}}",
        "trial.objective.terms.a.objective.name",
        "which member",
        "one of: cacr,",
    ),
    (TERM % "a: {objective: {name: kdd}}", "trial.objective.terms.a.objective.name", "one of: cacr,", "`kd`"),
    (TERM % "a: {wieght: 1, objective: {name: kd}}", "trial.objective.terms.a.wieght", "no such key", "`weight`"),
    (TERM % "a: {weight: 1}", "trial.objective.terms.a.objective", "required", "add it"),
    (TERM % "kd.KD: {}", "trial.objective.terms", "without dots", "quotes"),
    (TERM % "KD: {objective: {name: kd}}", "trial.objective.terms.KD", "this key must match", "rename it"),
    (TERM % "choice: {objective: {name: kd}}", "trial.objective.terms.choice", "by that name", "another name"),
    (TERM % "float: {objective: {name: kd}}", "trial.objective.terms.float", "by that name", "another name"),
]


@pytest.mark.parametrize(("override", "path", "rule", "fix"), REFUSED)
def test_a_wrong_part_of_a_member_is_one_problem_at_its_path(
    tmp_path: Path, override: str, path: str, rule: str, fix: str
) -> None:
    [problem] = problems(tmp_path, override, text=SUM)
    assert problem.path == path
    assert rule in problem.rule
    assert fix in problem.fix


@pytest.mark.parametrize("students", ["{name: adapter}, {name: convnet}", "{name: convnet}, {name: adapter}"])
def test_a_goal_is_there_in_every_trial(tmp_path: Path, students: str) -> None:
    gain = ["goals={transfer/knn_top1_gain: maximize}", f"trial.student={{choice: [{students}]}}"]
    [problem] = problems(tmp_path, *gain)
    assert problem.path == "goals.transfer/knn_top1_gain"
    assert "every trial has" in problem.rule
    loaded(tmp_path, gain[0], "trial.student={name: adapter}")


def test_a_goal_is_not_refused_for_a_mistake_elsewhere(tmp_path: Path) -> None:
    [problem] = problems(
        tmp_path, "trial.student={name: adapter}", "goals={transfer/knn_top1_gain: maximize}", "trial.steps=0"
    )
    assert problem.path == "trial.steps"


@pytest.mark.parametrize("second", ["search.seed=2", "search={name: random}", "search.seed.x=1"])
def test_a_key_is_set_once(tmp_path: Path, second: str) -> None:
    [problem] = problems(tmp_path, "search.seed=1", second)
    assert "search.seed is set already" in problem.rule


def test_different_keys_may_share_the_beginning_of_their_names(tmp_path: Path) -> None:
    sweep = loaded(tmp_path, "search.name=random", "search.seed=5", "name=s", "description=s")
    assert sweep.file.search == Random(seed=5)


def test_what_is_wrong_in_file_and_overrides_is_listed_together(tmp_path: Path) -> None:
    found = problems(tmp_path, "trial.seed=-1", text=GOOD.replace("3e-2", "-3"))
    assert [problem.where for problem in found] == ["--set", "sweep.yaml:3"]


def test_code_in_a_tag_is_a_security_refusal(tmp_path: Path) -> None:
    for overrides, text in (((), GOOD + "description: !!python/name:os.system x\n"), (("name=!!python/none x",), GOOD)):
        with pytest.raises(ConfigErrors) as caught:
            loaded(tmp_path, *overrides, text=text)
        assert caught.value.security
    with pytest.raises(ConfigErrors) as caught:
        loaded(tmp_path, "name=!x y")
    assert not caught.value.security


def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path) -> None:
    [problem] = problems(tmp_path, text="- 1\n")
    assert "a mapping" in problem.rule


def test_loading_imports_no_ray(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    code = f"import sys; from search_spaces.sweep_file import load; load({str(path)!r}); print('ray' in sys.modules)"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout == "False\n"
