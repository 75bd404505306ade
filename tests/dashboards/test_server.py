"""What the live page's server answers, and to whom."""

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from dashboards.live.server import application
from sweeps.events import Closed
from sweeps.export import files
from sweeps.ledger.store import Ledger
from sweeps.results import Results
from tests.dashboards import canaries
from tests.sweeps import stories, synthetic


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    storage = tmp_path_factory.mktemp("results")
    canaries.sweep(storage / "swept", "swept")
    return storage


@pytest.fixture
def client(storage: Path) -> TestClient:
    return TestClient(application(Results(str(storage)), "http://127.0.0.1:9"), base_url="http://127.0.0.1:8050")


def test_a_sweep_is_told_once_and_then_only_that_it_is_the_same(client: TestClient) -> None:
    assert client.get("/api/sweeps").json() == ["swept"]
    first = client.get("/api/sweeps/swept")
    told = first.json()
    assert len(told["trials"]["trial"]) == 60
    assert told["about"]["state"] == "done"
    assert set(told["params"]) == {
        "memory.size",
        "negatives.count",
        "objective.temperature",
        "student.width",
        "task.root",
    }
    again = client.get("/api/sweeps/swept", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_nothing_is_told_that_must_not_be(client: TestClient) -> None:
    assert canaries.told(client.get("/api/sweeps/swept").text) == []


def test_commands_name_storage_as_it_is_called_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synthetic.finished(tmp_path / "results" / "swept", "swept", 4)
    monkeypatch.chdir(tmp_path)
    files.write(files.tables("swept", Results("results")), tmp_path / "results" / "swept" / files.FOLDER)
    page = application(Results(str(tmp_path / "results")), "http://127.0.0.1:9")
    told = TestClient(page, base_url="http://127.0.0.1").get("/api/sweeps/swept").json()
    assert told["about"]["storage_flag"] == " --storage STORAGE"


def test_what_happens_in_a_sweep_is_told_at_the_next_asking(tmp_path: Path) -> None:
    client = _running(tmp_path, clock=lambda: 0.0)  # reading takes no time
    before = client.get("/api/sweeps/running")
    assert before.json()["about"]["state"] == "killed"
    with Ledger.open(tmp_path / "running") as ledger:
        fence = ledger.claim()
        ledger.append(stories.opened(fence))
        for event in stories.trial_story(1, 0.9):
            ledger.append(event)
        now = client.get("/api/sweeps/running", headers={"if-none-match": before.headers["etag"]})
        ledger.append(Closed(fence=fence, reason="done"))
    assert now.status_code == 200
    assert now.json()["about"]["state"] == "running"
    assert now.json()["trials"]["state"] == ["complete", "complete"]


def test_reading_a_sweep_takes_a_fifth_of_the_time_at_most(tmp_path: Path) -> None:
    client = _running(tmp_path, clock=count().__next__)  # whoever looks at it finds a second gone, readers too
    mark = client.get("/api/sweeps/running").headers["etag"]
    with Ledger.open(tmp_path / "running") as ledger:
        ledger.append(stories.opened(ledger.claim()))
        for event in stories.trial_story(1, 0.9):
            ledger.append(event)
    told = [client.get("/api/sweeps/running", headers={"if-none-match": mark}).status_code for _ in range(5)]
    assert told == [304, 304, 304, 304, 200]


def _running(storage: Path, clock: Callable[[], float]) -> TestClient:
    synthetic.write(
        storage / "running", "running", [synthetic.opened(), *stories.trial_story(0, 0.5)], synthetic.digits()
    )
    page = application(Results(str(storage)), "http://127.0.0.1:9", clock)
    return TestClient(page, base_url="http://127.0.0.1")


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1:8050"])
def test_only_loopback_names_are_answered(client: TestClient, host: str) -> None:
    assert client.get("/api/sweeps", headers={"host": host}).status_code == 400


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/", "/api/sweeps", "/api/sweeps/swept", "/mlflow/swept/0"])
def test_nothing_can_be_changed(client: TestClient, method: str, path: str) -> None:
    assert client.request(method, path).status_code == 405


def test_a_get_leaves_storage_as_it_is(client: TestClient, storage: Path) -> None:
    def content() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in storage.rglob("*") if path.is_file()}

    before = content()
    for path in ("/", "/api/sweeps", "/api/sweeps/swept", "/mlflow/swept/0", "/api/sweeps/nothing"):
        client.get(path, follow_redirects=False)
    after = content()
    new = {Path(path).relative_to(storage).parts[0] for path in after.keys() - before.keys()}
    assert new <= {"mlflow.db", "swept"}
    assert {path: after[path] for path in before if not path.endswith(("-shm", "-wal"))} == {
        path: held for path, held in before.items() if not path.endswith(("-shm", "-wal"))
    }


@pytest.mark.parametrize("path", ["/", "/theme.css", "/static/page.js", "/api/sweeps", "/api/sweeps/swept", "/nothing"])
def test_every_answer_forbids_what_the_page_does_not_need(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ["/api/sweeps/..%2Fswept", "/static/..%2f..%2fserver.py", "/static/../server.py", "/api/sweeps/Swept"]
)
def test_no_path_leads_out(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert "import" not in answer.text


def test_a_run_without_mlflows_pages_is_a_clear_line(client: TestClient) -> None:
    answer = client.get("/mlflow/swept/0", follow_redirects=False)
    assert answer.status_code == 404
    assert "python -m sweeps ui" in answer.text
