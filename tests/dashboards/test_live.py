"""The live page and MLflow's own, in a browser, over a finished and a running sweep."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from sweeps.events import Closed
from sweeps.ledger.store import Ledger
from sweeps.results import Results
from sweeps.tracking import mirror
from sweeps.tracking.of_sweep import tracking
from tests.dashboards import canaries
from tests.dashboards.browser import NEEDS_CHROMIUM, Watched, browser, free_port, served
from tests.sweeps import stories, synthetic

expect.set_options(timeout=60_000)

pytestmark = [NEEDS_CHROMIUM, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two finished sweeps, of which one is in MLflow, and one that a driver would hold."""
    storage = tmp_path_factory.mktemp("results")
    canaries.sweep(storage / "swept", "swept", 40)
    synthetic.finished(storage / "second", "second", 30, seed=1)
    with Ledger.open(storage / "swept") as ledger:
        mirror.sync(ledger.location, tracking("swept", ledger.spec, Results(str(storage))))
    return storage


@pytest.fixture(scope="module")
def mlflow(storage: Path) -> Iterator[str]:
    port = free_port()
    with served(port, "sweeps", "ui", "--storage", str(storage), "--port", str(port), health="/health") as address:
        yield address


@pytest.fixture(scope="module")
def live(storage: Path, mlflow: str) -> Iterator[str]:
    port = free_port()
    options = ["--storage", str(storage), "--port", str(port), "--mlflow", mlflow]
    with served(port, "dashboards", "serve", *options) as address:
        yield address


@pytest.fixture
def watched() -> Iterator[Watched]:
    with browser(viewport={"width": 1280, "height": 900}) as made:
        yield made


def opened(watched: Watched, address: str) -> Page:
    page = watched.context.new_page()
    page.goto(address)
    page.locator("#table tbody tr").first.wait_for()
    return page


def place_of_a_point(page: Page) -> tuple[dict[str, float], str]:
    """Where on the plane its first point is, and the number of the trial: what the keyboard finds, says where."""
    page.focus("#plane")
    page.keyboard.press("ArrowRight")
    told = page.locator("#said").inner_text()
    tip = page.locator("#tip")
    left, top = (float(tip.evaluate(f"tip => parseFloat(tip.style.{side})")) for side in ("left", "top"))
    page.keyboard.press("Escape")
    return {"x": left - 14, "y": top + 20}, told.split(",")[0].removeprefix("trial ")


@pytest.mark.parametrize("by", ["mouse", "keyboard"])
def test_a_point_opens_its_run_and_copies_its_command(watched: Watched, live: str, by: str) -> None:
    page = opened(watched, f"{live}/#swept")
    where, number = place_of_a_point(page)
    with watched.context.expect_page() as opening:
        if by == "mouse":
            page.locator("#plane").click(position=where)  # type: ignore[arg-type]
        else:
            page.keyboard.press("ArrowRight")
            page.keyboard.press("Enter")
    run = opening.value
    run.wait_for_url("**/runs/**")
    run.get_by_text(f"trial-{int(number):04}").first.wait_for()
    page.bring_to_front()
    command = f"python -m sweeps reproduce swept:{number} --storage STORAGE"
    expect(page.locator("#picked code")).to_have_text(command)
    page.locator("#picked button").click()
    expect(page.locator("#picked button")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == command
    assert watched.beyond == []


def test_filters_narrow_points_and_table_alike(watched: Watched, live: str) -> None:
    page = opened(watched, f"{live}/#swept")
    assert page.locator("#shown").inner_text().startswith("40 of 40 trials")
    page.get_by_label("pruned").uncheck()
    page.get_by_label("failed").uncheck()
    complete = int(page.locator("#shown").inner_text().split()[0])
    assert page.locator("#table tbody tr").count() == complete < 40
    page.get_by_label("memory.size at least").fill("300")
    fewer = int(page.locator("#shown").inner_text().split()[0])
    assert fewer < complete
    sizes = page.locator("#table tbody tr").all_inner_texts()
    assert len(sizes) == fewer
    page.get_by_label("on the front only").check()
    front = int(page.locator("#shown").inner_text().split()[0])
    assert front <= fewer
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#shown")).to_contain_text("40 of 40 trials")
    assert (watched.complaints, watched.beyond) == ([], [])


def test_two_sweeps_are_compared_and_can_be_linked_to(watched: Watched, live: str) -> None:
    page = opened(watched, f"{live}/#swept")
    page.get_by_label("compared with").select_option("second")
    expect(page.locator("#shown")).to_contain_text("of second")
    assert page.url.endswith("#swept+second")
    assert page.locator("#about h3").all_inner_texts() == ["swept done", "second done"]
    other = opened(watched, page.url)
    expect(other.locator("#shown")).to_contain_text("of second")
    assert (watched.complaints, watched.beyond) == ([], [])


def test_a_running_sweep_updates_by_itself(watched: Watched, live: str, storage: Path) -> None:
    synthetic.write(
        storage / "running", "running", [synthetic.opened(), *stories.trial_story(0, 0.5)], synthetic.digits()
    )
    page = opened(watched, f"{live}/#running")
    with Ledger.open(storage / "running") as ledger:
        fence = ledger.claim()
        ledger.append(stories.opened(fence))
        for number, knn in ((1, 0.7), (2, 0.9)):
            for event in stories.trial_story(number, knn, cost=1.0 + number):
                ledger.append(event)
        expect(page.locator("#shown")).to_contain_text("3 of 3 trials")
        expect(page.locator("#about h3")).to_contain_text("running")
        ledger.append(Closed(fence=fence, reason="done"))
    expect(page.locator("#about h3")).to_contain_text("done")
    assert (watched.complaints, watched.beyond) == ([], [])


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 420)])
def test_everybody_can_use_it(live: str, scheme: Any, width: int) -> None:
    with browser(viewport={"width": width, "height": 900}, color_scheme=scheme) as watched:
        page = opened(watched, f"{live}/#swept+second")
        assert watched.faults(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it is wider than the window"
        text = page.locator("body").inner_text()
        assert canaries.told(text) == []
        assert (watched.complaints, watched.beyond) == ([], [])


@pytest.mark.parametrize("width", [420, 700, 850, 1000])
def test_what_can_be_done_with_a_trial_is_in_sight(live: str, width: int) -> None:
    with browser(viewport={"width": width, "height": 900}) as watched:
        page = opened(watched, f"{live}/#swept")
        for action in (page.locator("#table tbody button").first, page.locator("#table tbody a").first):
            box = action.bounding_box()  # nothing has been scrolled
            assert box is not None
            assert 0 <= box["x"] <= box["x"] + box["width"] <= width
        page.locator("#table tbody button").first.click()
        assert page.evaluate("navigator.clipboard.readText()").startswith("python -m sweeps reproduce swept:")


def test_mlflow_shows_the_sweep_as_its_users_expect(watched: Watched, mlflow: str, storage: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{storage / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("contrastive-sweeps")
    assert experiment is not None
    (parent,) = client.search_runs([experiment.experiment_id], "tags.trials != ''")
    on_front = client.search_runs(
        [experiment.experiment_id], 'tags.on_front = "true" and params."memory.name" = "bank"'
    )
    assert on_front
    assert int(parent.data.metrics["front/trials"]) == len(on_front)
    page = watched.context.new_page()
    page.goto(f"{mlflow}/#/experiments/{experiment.experiment_id}/runs/{parent.info.run_id}")
    page.get_by_role("heading", name="Front").wait_for()
    assert "python -m sweeps reproduce swept:" in page.locator("body").inner_text()
    page.goto(f"{mlflow}/#/experiments/{experiment.experiment_id}/runs/{parent.info.run_id}/artifacts")
    page.get_by_text("report.html").first.click()
    frame = page.frame_locator("iframe").first
    frame.get_by_role("heading", name="What compute bought").wait_for()
    page.get_by_text("front.json").first.click()
    page.get_by_text("objective.temperature").first.wait_for()
    assert watched.beyond == []
