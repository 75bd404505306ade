"""The command line: what it refuses, what it reads, and what it says."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dashboards.cli import app as dashboards_app
from sweeps.cli import app
from sweeps.commands.driving import _print_next
from sweeps.ledger.store import Ledger
from sweeps.results import Results
from tests.sweeps import stories
from tests.sweeps.plain_slot import PlainSlot, driving, formula, smoke
from tests.sweeps.test_driver import run_out

TEN_MISTAKES = """
name: Ten Mistakes
trial:
  task: {name: digit}
  objective: {name: crd, tempreature: 0.1}
  memory: {name: bank, size: {int: [512, 16], log: true}}
  negatives: {name: uniform, count: {int: [0, 64], log: true}}
  embedding: many
goals: {transfer/knn_top_1: maximize}
search: {name: tpe, sed: 3}
budget: {trials: 0}
resources: {slots: -1}
"""


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sweep of formula trials."""
    storage = tmp_path_factory.mktemp("results")
    slot = PlainSlot(formula)
    with driving(storage / "smoke-1", smoke("budget.trials=12"), slot) as driver:
        run_out(driver, slot)
        driver.ledger.append(stories.closed(1))
    return storage


@pytest.mark.parametrize("command", ["validate", "run"])
def test_ten_mistakes_are_ten_errors_and_nothing_is_started(tmp_path: Path, command: str) -> None:
    file = tmp_path / "mistakes.yaml"
    file.write_text(TEN_MISTAKES)
    results = tmp_path / "results"
    result = invoke(command, file, *(["--storage", str(results)] if command == "run" else []))
    assert result.exit_code == 2
    assert result.stderr.startswith("mistakes.yaml: 10 problems, nothing was started")
    blocks = re.findall(r"^mistakes\.yaml:\d+  (\S+) .*\n    rule: .+\n    fix:  .+", result.stderr, re.MULTILINE)
    assert sorted(blocks) == sorted(
        [
            "name",
            "trial.task.name",
            "trial.objective.tempreature",
            "trial.memory.size.int",
            "trial.negatives.count",
            "trial.embedding",
            "goals.transfer/knn_top_1",
            "search.sed",
            "budget.trials",
            "resources.slots",
        ]
    )
    assert "did you mean `temperature`?" in result.stderr
    assert not results.exists()


@pytest.mark.parametrize(("storage", "flag"), [("results", ""), ("/shared/my runs", " --storage '/shared/my runs'")])
def test_after_a_sweep_each_step_that_may_follow_is_a_command(
    storage: str, flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _print_next("swept", Results(storage), confirm=True)
    commands = [line.split(maxsplit=1)[1] for line in capsys.readouterr().out.splitlines() if "python -m" in line]
    assert commands == [
        f"python -m sweeps ui{flag}",
        f"python -m dashboards front swept{flag}",
        f"python -m sweeps report swept{flag}",
        f"python -m sweeps confirm swept{flag}",
        f"python -m sweeps best swept{flag}",
    ]


def test_an_unsafe_tag_is_a_security_refusal(tmp_path: Path) -> None:
    file = tmp_path / "unsafe.yaml"
    file.write_text('name: x\ntrial: !!python/object/apply:os.system ["true"]\n')
    assert invoke("run", file, "--storage", tmp_path / "results").exit_code == 6
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("sweep", ["../x", "/etc", "A", "x" * 64, "", "a b", "a/b"])
@pytest.mark.parametrize("command", ["status", "front", "best", "resume", "sync"])
def test_an_id_is_checked_before_it_becomes_a_path(storage: Path, command: str, sweep: str) -> None:
    if sweep == "":
        return  # an empty argument is the newest sweep's
    result = invoke(command, sweep, "--storage", storage)
    assert result.exit_code == 2
    assert "a sweep's id has 1 to 63" in result.stderr


@pytest.mark.parametrize("command", ["status", "front", "best", "resume", "sync"])
def test_a_sweep_that_is_not_there_is_one_clear_line(tmp_path: Path, command: str) -> None:
    for arguments, said in ((["gone"], "there is no"), ([], "there is no sweep in")):
        result = invoke(command, *arguments, "--storage", tmp_path)
        assert result.exit_code == 2
        assert said in result.stderr
        assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("trials", "write cost_s=100, say"),
        ("trials=many", "a budget is cap=number"),
        ("cots_s=3", "cots_s: there is no such key here; did you mean `cost_s`?"),
        ("foo=3", "use one of: trials, cost_s"),
        ("trials=12", "trials=12 is no more than the 12 that it has used. Give more"),
        ("money=3", "money and price_per_device_hour go together"),
    ],
)
def test_a_new_budget_that_is_none_is_refused_and_changes_nothing(storage: Path, given: str, said: str) -> None:
    result = invoke("resume", "smoke-1", "--storage", storage, "--budget", given)
    assert result.exit_code == 2
    assert said in result.stderr
    with Ledger.open(storage / "smoke-1") as ledger:
        assert [event.kind for _, _, event in ledger.events()][-1] == "closed"


def test_status_says_what_is_used_of_each_cap(tmp_path: Path) -> None:
    slot = PlainSlot(formula)
    budget = "budget={trials: 3, cost_s: 9.0, money: 5, price_per_device_hour: 2}"
    with driving(tmp_path / "capped", smoke(budget), slot) as driver:
        run_out(driver, slot)
        driver.ledger.append(stories.closed(1))
        spent = sum(trial.compute["compute/cost_s"] * trial.begun for trial in driver.ledger.history.trials.values())
    described = json.loads(invoke("status", "--storage", tmp_path, "--json").stdout)
    assert described["budget"] == {"trials": 3, "cost_s": 9.0, "money": 5.0, "price_per_device_hour": 2.0}
    assert described["used"]["trials"] == 3
    assert described["used"]["cost_s"] == pytest.approx(spent)
    panel = invoke("status", "--storage", tmp_path).stdout
    for said in ("3 of 3", "of 9", "of 5", "% used"):
        assert said in panel


def test_validate_says_what_the_budget_and_the_constraints_cut_off() -> None:
    bounds = ["--set", "budget={cost_s: 0.0012}", "--set", "constraints={compute/peak_bytes: {at_most: 200000}}"]
    described = json.loads(invoke("validate", "search_spaces/smoke.yaml", *bounds, "--json").stdout)
    assert described["budget"] == {"cost_s": 0.0012}
    assert described["constraints"] == {"compute/peak_bytes": {"at_most": 200000.0}}
    memory, cost = described["cautions"][-2:]
    assert re.match(r"in \d+ of 100 random trials compute/peak_bytes is not at_most 200000", memory)
    assert re.match(r"\d+ of 100 random trials need more than all of budget.cost_s", cost)
    assert "at_most 200000" in invoke("validate", "search_spaces/smoke.yaml", *bounds).stdout


def test_status_counts_every_trial(storage: Path) -> None:
    described = json.loads(invoke("status", "--storage", storage, "--json").stdout)
    assert described["sweep"] == "smoke"
    assert described["state"] == "done"
    assert sum(described["trials"].values()) == 12
    assert "12 of 12" in invoke("status", "--storage", storage).stdout


def test_front_and_best_agree_and_best_keeps_bounds(storage: Path) -> None:
    front = json.loads(invoke("front", "smoke-1", "--storage", storage, "--json").stdout)
    costs = [point["metrics"]["compute/cost_s"] for point in front]
    accuracies = [point["metrics"]["transfer/knn_top1"] for point in front]
    assert len(front) >= 2
    assert costs == sorted(costs)
    assert accuracies == sorted(accuracies), "on a front more cost buys more"
    assert all(point["state"] == "complete" for point in front)
    best = json.loads(invoke("best", "smoke-1", "--storage", storage, "--json").stdout)
    assert best in front
    cheap = invoke("best", "--storage", storage, "--at-most", f"compute/cost_s={costs[0]}", "--json")
    assert json.loads(cheap.stdout) == front[0]
    refused = invoke("best", "--storage", storage, "--at-least", "transfer/knn_top1=2")
    assert refused.exit_code == 2
    assert "Loosen a bound" in refused.stderr
    assert invoke("best", "--storage", storage, "--at-least", "much").exit_code == 2


def test_validate_says_what_varies_and_what_it_costs() -> None:
    result = invoke("validate", "search_spaces/smoke.yaml", "--set", "budget.trials=7", "--json")
    described = json.loads(result.stdout)
    assert described["trials"] == 7
    assert set(described["varies"]) == {"objective.temperature", "memory.size", "negatives.count"}
    assert 0 < described["compute_least"]["compute/cost_s"] < described["compute_most"]["compute/cost_s"]
    assert "negatives.count" in invoke("validate", "search_spaces/smoke.yaml").stdout


def test_planned_compute_is_that_of_the_cheapest_and_dearest_trials() -> None:
    arguments = ["validate", "search_spaces/smoke.yaml", "--set"]
    students = "trial.student.width={choice: [4, 2, 12, 6]}"
    described = json.loads(invoke(*arguments, students, "--json").stdout)
    for width in (2, 12):
        alone = json.loads(invoke(*arguments, f"trial.student.width={width}", "--json").stdout)
        for key, best in (("compute_least", min), ("compute_most", max)):
            both = (alone[key]["compute/train_flops"], described[key]["compute/train_flops"])
            assert best(both) == both[1]
    assert "about" in invoke(*arguments, students).stdout


@pytest.mark.parametrize("file", sorted(Path("search_spaces").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_sweep_file_is_valid(file: Path) -> None:
    """But for data and weights that its user brings: where these are not, it says which."""
    result = invoke("validate", file)
    missing = file.stem in ("cifar100_crd", "embeddings", "text")
    assert result.exit_code == (2 if missing else 0)
    assert result.stderr.count("there must be an ingested dataset") == result.stderr.count("rule:") == missing


def test_the_front_is_drawn_and_no_front_is_refused(storage: Path, tmp_path: Path) -> None:
    drawn = tmp_path / "front.png"
    arguments = ["front", "smoke-1", "--storage", str(storage), "--output", str(drawn)]
    assert CliRunner().invoke(dashboards_app, arguments).exit_code == 0
    assert drawn.read_bytes().startswith(b"\x89PNG")
    Ledger.create(tmp_path / "empty", "empty", {"file": smoke().file.to_json()}).close()
    refused = CliRunner().invoke(dashboards_app, ["front", "empty", "--storage", str(tmp_path)])
    assert refused.exit_code == 2
    assert "complete trials" in refused.stderr


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["resources.slots=4096"], "4096 slots x 1 workers x 1 cpus are 4096 cpus"),
        (["resources.workers=3"], "trial.batch_size = 64"),
        (["trial.workers=2"], "write resources.workers instead"),
        (["resources.gpus_per_worker=64"], "64 gpus, where this machine has"),
    ],
)
def test_what_this_machine_can_never_run_is_refused_before_anything_starts(
    tmp_path: Path, settings: list[str], said: str
) -> None:
    overrides = [part for setting in settings for part in ("--set", setting)]
    result = invoke("run", "search_spaces/smoke.yaml", *overrides, "--storage", tmp_path / "results", "--id", "big")
    assert result.exit_code == 2
    assert said in result.stderr
    assert not (tmp_path / "results" / "big").exists()


def test_a_storage_that_is_a_file_and_a_tracking_uri_of_a_dead_kind_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    result = invoke("run", "search_spaces/smoke.yaml", "--storage", tmp_path / "file")
    assert result.exit_code == 2
    assert "--storage must be a place to write in" in result.stderr
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "file:///tmp/mlruns")
    result = invoke("run", "search_spaces/smoke.yaml", "--storage", tmp_path / "results")
    assert result.exit_code == 2
    assert "MLFLOW_TRACKING_URI" in result.stderr
    assert not (tmp_path / "results").exists()


def test_a_sweep_is_created_once(storage: Path) -> None:
    result = invoke("run", "search_spaces/smoke.yaml", "--storage", storage, "--id", "smoke-1")
    assert result.exit_code == 2
    assert "Resume it, or give the new one another id" in result.stderr


@pytest.mark.parametrize("swept", ["device.flops_per_s={float: [1.0e9, 1.0e12]}", "seed={int: [0, 3]}"])
def test_what_trials_are_measured_by_cannot_be_swept(swept: str) -> None:
    result = invoke("validate", "search_spaces/smoke.yaml", "--set", f"trial.{swept}")
    assert result.exit_code == 2
    assert "the same for all of them" in result.stderr


def test_nothing_is_chosen_by_test_values(storage: Path) -> None:
    result = invoke("best", "--storage", storage, "--at-least", "test/transfer/knn_top1=0.4")
    assert result.exit_code == 2
    assert "Bound transfer/knn_top1" in result.stderr


def test_a_ledger_damaged_in_its_middle_is_an_integrity_refusal(storage: Path, tmp_path: Path) -> None:
    (tmp_path / "damaged").mkdir()
    content = bytearray((storage / "smoke-1" / "ledger.db").read_bytes())
    content[4096 * 3 : -4096] = b"\xff" * (len(content) - 4096 * 4)
    (tmp_path / "damaged" / "ledger.db").write_bytes(content)
    for command in ("status", "front", "best", "sync"):
        result = invoke(command, "damaged", "--storage", tmp_path)
        assert result.exit_code == 6, result.output
        assert "Restore a backup" in result.stderr or "restore a backup" in result.stderr


def test_a_dead_mlflow_is_one_clear_line(storage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")
    result = invoke("sync", "smoke-1", "--storage", storage)
    assert result.exit_code == 2
    assert "the ledger keeps everything" in result.stderr
    assert "secret" not in result.output


def test_a_stray_folder_is_not_the_newest_sweep(storage: Path) -> None:
    (storage / "Not a sweep").mkdir()
    (storage / "Not a sweep" / "ledger.db").write_text("")
    assert invoke("status", "--storage", storage).exit_code == 0


def test_validate_warns_of_each_kind_of_trial_that_is_hardly_meant() -> None:
    described = json.loads(invoke("validate", "search_spaces/contrast.yaml", "--json").stdout)
    unreachable, own_negatives = described["cautions"]
    assert re.match(r"in \d+ of 100 random trials: no positive can score above one half", unreachable)
    assert "a positive may be among its own anchor's negatives" in own_negatives
    assert json.loads(invoke("validate", "search_spaces/prototypes.yaml", "--json").stdout)["cautions"] == []


def test_a_lone_number_bounds_a_goal_and_the_goal_without_a_bound_decides(storage: Path) -> None:
    front = json.loads(invoke("front", "smoke-1", "--storage", storage, "--json").stdout)
    cost, accuracy = front[1]["metrics"]["compute/cost_s"], front[1]["metrics"]["transfer/knn_top1"]

    def best(*bounds: str) -> int:
        return int(json.loads(invoke("best", "smoke-1", "--storage", storage, *bounds, "--json").stdout)["trial"])

    assert best("--budget", str(cost)) == best("--at-most", f"compute/cost_s={cost}") == front[1]["trial"]
    assert best("--min-accuracy", str(accuracy)) == best("--at-least", str(accuracy)) == front[1]["trial"]
    assert best("--min-accuracy", "0", "--knee") == best() == best("--knee")
