"""Secrets that a sweep meets are found nowhere in what it leaves behind or says."""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient
from typer.testing import CliRunner

from dashboards.cli import app as dashboards_app
from search_spaces.errors import ConfigErrors
from search_spaces.secrets import redacted, secrets_in
from search_spaces.sweep_file import load
from sweeps.cli import app
from sweeps.events import Ended
from sweeps.ledger.store import Ledger
from sweeps.results import Results
from sweeps.slots.records import Job
from sweeps.tracking.mirror import MlflowWriter, sync
from sweeps.tracking.of_sweep import tracking
from tests.sweeps import stories
from tests.sweeps.plain_slot import PlainSlot, driving, formula, smoke
from tests.sweeps.test_driver import run_out
from trainables.outcomes import Outcome, Report

SMOKE = Path("search_spaces/smoke.yaml")
IN_URI = "c4nary/uri@pass"
VARIABLES = {
    "AWS_SECRET_ACCESS_KEY": "c4naryAWSUtnFEMIxK7MDENGxbPxRfiCYEXAMPLE",
    "MLFLOW_TRACKING_TOKEN": "c4nary-tracking-token",
    "RAY_AUTH_TOKEN": "c4nary-ray-token",
}
QUOTED = IN_URI.replace("/", "%2F").replace("@", "%40")
SHAPED = ["ghp_" + "c4naryAB" * 5, "hf_" + "c4naryAB" * 4, "sk-" + "c4naryAB" * 4, "AKIAC4NARYC4NARYC4NA"]
CANARIES = [IN_URI, *VARIABLES.values(), *SHAPED]


@pytest.fixture(autouse=True)
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**VARIABLES, "DATABASE_URL": f"postgresql://user:{QUOTED}@host/db"}.items():
        monkeypatch.setenv(name, value)


def hits(place: Path, said: str) -> list[str]:
    """Where a canary is found: in any byte of any file below a folder, or in what was said."""
    texts = {str(path): path.read_bytes() for path in place.rglob("*") if path.is_file()}
    return [where for where, text in {**texts, "said": said.encode()}.items() if b"c4nary" in text.lower()]


def leaky(job: Job, report: Report) -> Outcome:
    """A trial whose exception quotes every canary; the trials before it end well."""
    if job.trial < 3:
        return formula(job, report)
    raise ConnectionError(f"cannot reach postgresql://user:{IN_URI}@host/db with {', '.join(CANARIES)}")


class FailingSlot(PlainSlot):
    """Tells of an exception what a worker does."""

    def run(self, driver: object, job: Job) -> None:
        try:
            super().run(driver, job)  # type: ignore[arg-type]
        except ConnectionError as error:
            ids = {"trial": job.trial, "attempt": job.attempt}
            message = f"ConnectionError: {error}"
            driver.take_in(Ended(**ids, state="failed", failure="user_error", message=message))  # type: ignore[attr-defined]


def swept(folder: Path) -> None:
    """A sweep of four trials, the last of which fails with the canaries in its message; mirrored, drawn and shown."""
    slot = FailingSlot(leaky)
    with driving(folder / "tiny", smoke("budget.trials=4", "stop={name: none}"), slot) as driver:
        run_out(driver, slot)
        driver.ledger.append(stories.closed(1))
        assert [trial.state for trial in driver.ledger.history.trials.values()] == [*["complete"] * 3, "failed"]
        sync(folder / "tiny", tracking("tiny", driver.ledger.spec, Results(str(folder))))
        mirror = tracking("tiny", driver.ledger.spec, Results(str(folder)))
        writer = MlflowWriter(folder / "tiny", mirror, interval_s=0.1)
        assert writer.drain(60)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    handler = logging.FileHandler(tmp_path / "everything.log")
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield tmp_path / "everything.log"
    root.removeHandler(handler)
    root.setLevel(level)
    handler.close()


def told(*arguments: str | Path, picture: bool = False) -> str:
    chosen = dashboards_app if picture else app
    result = CliRunner().invoke(chosen, [str(argument) for argument in arguments])
    return result.output + result.stderr


@pytest.mark.timeout(120)
@pytest.mark.usefixtures("log")
def test_no_canary_is_left_in_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    swept(tmp_path)
    said = [told("status", "tiny", "--storage", tmp_path, *flag) for flag in ([], ["--json"])]
    said += [told(name, "tiny", "--storage", tmp_path) for name in ("front", "best")]
    said += [told("front", "tiny", "--storage", tmp_path, "--output", tmp_path / "front.svg", picture=True)]
    assert (tmp_path / "front.svg").exists()
    assert "trial 3 failed: user_error: ConnectionError: cannot reach postgresql://user:***@host/db" in said[0]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:{QUOTED}@127.0.0.1:9")
    said += [told("sync", "tiny", "--storage", tmp_path), told("ui", "--storage", tmp_path)]
    assert "http://user:***@127.0.0.1:9" in said[-2]
    with Ledger.open(tmp_path / "tiny") as ledger:
        writer = MlflowWriter(tmp_path / "tiny", tracking("tiny", ledger.spec, Results(str(tmp_path))), interval_s=0.1)
        assert not writer.drain(3.0)
        said += [str(writer.last_error), repr(tracking("tiny", ledger.spec, Results(str(tmp_path))))]
    assert hits(tmp_path, "".join([*said, *capfd.readouterr()])) == []


def test_the_search_has_power(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same sweep, with one thing taken away that keeps secrets out: they are found in ledger, MLflow and output."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr("search_spaces.secrets._SHAPES", {})
    monkeypatch.setattr("search_spaces.secrets._variables", lambda _: ())
    swept(tmp_path)
    found = hits(tmp_path, told("status", "tiny", "--storage", tmp_path))
    assert {Path(where).name for where in found} >= {"ledger.db", "mlflow.db", "said"}
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    run = next(iter(client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])))
    client.log_text(run.info.run_id, SHAPED[0], "note.txt")
    assert any(where.endswith("note.txt") for where in hits(tmp_path, ""))


@pytest.mark.parametrize("canary", CANARIES)
def test_a_secret_in_a_sweep_file_is_refused_and_not_shown(tmp_path: Path, canary: str) -> None:
    quoted = canary if canary != IN_URI else f"mysql://user:{canary}@host"
    places = {
        "a comment": SMOKE.read_text() + f"# {quoted}\n",
        "the description": SMOKE.read_text() + f"description: 'see {quoted}'\n",
        "a value of another kind": SMOKE.read_text().replace("seed: 0", f"seed: '{quoted}'")
        + f"description: {quoted}\n",
    }
    for content in places.values():
        (tmp_path / "file.yaml").write_text(content)
        with pytest.raises(ConfigErrors) as caught:
            load(tmp_path / "file.yaml")
        assert caught.value.security
        assert canary not in str(caught.value)
    with pytest.raises(ConfigErrors) as caught:
        load(SMOKE, [f"trial.steps={quoted}"])
    assert caught.value.security
    assert canary not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "tokenizer: bert, max_tokens: 512, key: value, secret: none",
        "http://127.0.0.1:5000/#/experiments/1 by someone@example.org",
        "sqlite:////data/mlflow.db, s3://bucket/key, postgresql://user@host/db, http://user:${PASSWORD}@host",
        "task-specific-distillation-of-CRD-2 with sk-learn-like-names-in-Lower-case",
        "a bearer of good news; 3800ab71c6a44bd09f2fc78dd2143bf39a53610b9ddfe5fe68f3853e20410847",
        "postgresql://user:***@host",
    ],
)
def test_what_only_sounds_like_a_secret_is_none(text: str) -> None:
    assert secrets_in(text) == []
    assert redacted(text) == text


def test_tune_gives_no_secret_to_its_proxies() -> None:
    """It would by a runtime environment, which Ray logs; the proxies of a sweep are told nothing of a cloud."""
    from ray.tune.execution import class_cache

    from sweeps.slots import tuning
    from sweeps.slots.proxy import TrialProxy

    assert vars(tuning)["class_cache"] is class_cache
    given = class_cache._ActorClassCache().get(TrialProxy)._default_options["runtime_env"]["env_vars"]
    assert given
    assert not set(given) & {*VARIABLES, "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN"}


def test_shipped_sweep_files_hold_no_secret() -> None:
    for file in Path("search_spaces").glob("*.yaml"):
        assert secrets_in(file.read_text()) == []


def test_a_password_is_not_in_the_arguments_of_the_server_of_ui(tmp_path: Path) -> None:
    uri = "postgresql://user:c4nary@127.0.0.1:9/db"  # nobody is there, which the server finds out after its start
    imports = "from sweeps.results import Results; from sweeps.tracking import pages"
    code = f"{imports}; pages.serve(Results({str(tmp_path)!r}), 0)"
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri}
    servers: list[tuple[str, dict[str, str]]] = []
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not servers:
            for child in psutil.Process(process.pid).children():
                with suppress(psutil.NoSuchProcess):
                    servers += (
                        [(line, child.environ())] if "mlflow server" in (line := " ".join(child.cmdline())) else []
                    )
            time.sleep(0.02)
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()  # it would try for minutes to reach its database
        process.kill()
    [(line, given)] = servers
    assert "c4nary" not in line
    assert given["MLFLOW_BACKEND_STORE_URI"] == uri
    assert given["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
