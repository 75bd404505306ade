"""The report: one file that needs no network, can be used by everybody, and tells nothing that it must not."""

import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Page
from typer.testing import CliRunner

from dashboards.cli import app
from dashboards.frames import Frames
from dashboards.report.front import front_figure
from dashboards.report.page import render, write_report
from dashboards.report.style import SCALE
from dashboards.report.training import spending
from sweeps.confirmation.report import confirmed
from sweeps.export import files
from sweeps.ledger.store import Ledger
from sweeps.results import Results
from tests.dashboards import canaries
from tests.dashboards.browser import NEEDS_CHROMIUM, Watched, browser
from tests.sweeps import stories, synthetic
from tests.sweeps.confirmation.test_confirmation import ACCURACY, begun, replicate, swept


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    storage = tmp_path_factory.mktemp("results")
    canaries.sweep(storage / "swept", "swept")
    return storage


@pytest.fixture(scope="module")
def report(storage: Path) -> Path:
    result = CliRunner().invoke(app, ["report", "swept", "--storage", str(storage), "--tables"])
    assert result.exit_code == 0, result.output
    return storage / "swept" / "report"


@pytest.fixture
def watched() -> Iterator[Watched]:
    with browser(viewport={"width": 1200, "height": 900}) as made:
        yield made


def test_pictures_and_tables_stand_beside_the_page(report: Path) -> None:
    assert {path.name for path in report.iterdir()} == {"report.html", "front.png", "hypervolume.png", "tables"}
    assert files.read(report / "tables").trials.num_rows == 60


def test_nothing_is_told_that_must_not_be(report: Path) -> None:
    assert canaries.told((report / "report.html").read_text()) == []
    for table in files.read(report / "tables").named().values():
        assert canaries.told(f"{table.to_pylist()} {table.schema.metadata}") == []


def test_what_a_trial_said_is_text(report: Path) -> None:
    page = (report / "report.html").read_text()
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert len(re.findall(r"<script", page)) - len(re.findall(r"<script", _library())) == 3


def _library() -> str:
    from dashboards.report.page import _plotly

    return _plotly()


def test_where_the_compute_went_adds_up(storage: Path) -> None:
    frames = Frames.of(files.tables("swept", Results(str(storage))))
    spent = spending(frames)
    saved = spent.pop("saved")
    assert sum(spent.values()) == pytest.approx(frames.trials["trained_cost_s"].sum())
    stopped = frames.trials[frames.trials["state"] == "pruned"]
    assert saved == pytest.approx((stopped["metrics.compute/cost_s"] * (1 - stopped["fidelity"])).sum())


@pytest.mark.parametrize(
    "events",
    [
        [],
        [stories.opened(), stories.planned(0), stories.started(0)],
        [stories.opened(), *stories.trial_story(0, 0.5)],
        [stories.opened(), stories.planned(0), stories.started(0), stories.ended(0, "failed")],
    ],
    ids=["nothing", "one running", "one complete", "one failed"],
)
def test_a_sweep_of_hardly_anything_has_a_report(tmp_path: Path, events: list[object]) -> None:
    synthetic.write(tmp_path / "young", "young", events, synthetic.digits())  # type: ignore[arg-type]
    written = write_report(Frames.of(files.tables("young", Results(str(tmp_path)))), tmp_path / "report")
    page = written[0].read_text()
    assert "stand on the front" not in page
    assert 'class="empty"' in page


def test_a_goal_that_is_missing_or_alone_is_no_fault(storage: Path) -> None:
    tables = files.tables("swept", Results(str(storage)))
    one = tables.about.model_copy(update={"goals": {"compute/cost_s": "minimize"}})
    odd = tables.about.model_copy(update={"goals": {"transfer/nothing": "maximize", "compute/cost_s": "minimize"}})
    for about in (one, odd):
        assert render(Frames.of(tables.__class__(about, **{**tables.named(), "front": tables.front.slice(0, 0)})))


def test_fresh_seeds_stand_on_the_front_with_their_intervals(tmp_path: Path) -> None:
    swept(tmp_path)
    begun(tmp_path)
    replicate(tmp_path)
    frames = Frames.of(files.tables("smoke", Results(str(tmp_path))))
    with Ledger.open(tmp_path / "smoke") as ledger:
        confirmation = confirmed(ledger, Results(str(tmp_path)))
    assert confirmation is not None
    told = frames.front[frames.front["fresh_seeds"].notna()].set_index("trial")
    for point in confirmation.points:
        row, (low, high) = told.loc[point.trial.number], point.intervals[ACCURACY]
        assert (row[f"confirmed.{ACCURACY}.low"], row[f"confirmed.{ACCURACY}.high"]) == (low, high)
        assert (row["front_probability"], row["fresh_seeds"]) == (point.chance, point.seeds)
        assert row[f"metrics.{ACCURACY}"] == point.swept[ACCURACY]
    figure = front_figure(frames)
    assert figure is not None
    (seeds,) = [trace for trace in figure.data if trace.name == "with fresh seeds, 95 %"]
    assert len(seeds.x) == len(confirmation.points)
    assert list(seeds.y + seeds.error_y.array) == pytest.approx(list(told[f"confirmed.{ACCURACY}.high"]))
    page = render(frames)
    assert "points of the front hold; hypervolume" in page
    assert "on the true front with probability" in page


def _luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_every_colour_of_the_scale_can_be_seen_on_light_and_on_dark() -> None:
    papers = re.findall(r"--paper: (#\w{6})", Path("dashboards/theme.css").read_text())
    assert len(papers) == 2
    for colour in SCALE:
        for paper in papers:
            darker, lighter = sorted((_luminance(colour), _luminance(paper)))
            assert (lighter + 0.05) / (darker + 0.05) >= 3, f"{colour} on {paper}"


@NEEDS_CHROMIUM
@pytest.mark.timeout(240)
@pytest.mark.parametrize("figure", ["pairs", "slices"])
def test_panels_have_room_in_a_narrow_window(report: Path, watched: Watched, figure: str) -> None:
    page = watched.context.new_page()
    page.set_viewport_size({"width": 400, "height": 900})
    page.goto((report / "report.html").as_uri())
    page.wait_for_selector("html[data-drawn]")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it is wider than the window"
    panels = _boxes(page, f"#{figure} .nsewdrag")
    assert len(panels) >= 3
    assert all(panel["width"] > 250 for panel in panels)
    texts = _boxes(page, f"#{figure} :is(.xtick, .ytick, .xtitle, .ytitle)")
    assert not [pair for pair in combinations([*panels, *texts], 2) if _overlap(*pair)]
    page.set_viewport_size({"width": 1200, "height": 900})
    tops = "all => new Set(all.slice(0, 3).map(each => each.getBoundingClientRect().top)).size"
    while page.locator(f"#{figure} .nsewdrag").evaluate_all(tops) > 1:  # until they stand side by side again
        page.wait_for_timeout(100)


def _boxes(page: Page, selector: str) -> list[dict[str, float]]:
    found: list[dict[str, float]] = page.locator(selector).evaluate_all(
        "all => all.map(each => each.getBoundingClientRect().toJSON())"
    )
    return found


def _overlap(one: dict[str, float], other: dict[str, float]) -> bool:
    across = min(one["right"], other["right"]) - max(one["left"], other["left"])
    upward = min(one["bottom"], other["bottom"]) - max(one["top"], other["top"])
    return across > 1 and upward > 1


@NEEDS_CHROMIUM
@pytest.mark.timeout(240)
def test_the_page_in_a_browser(report: Path, watched: Watched) -> None:
    page = watched.context.new_page()
    page.goto((report / "report.html").as_uri())
    page.wait_for_selector("html[data-drawn]")
    figures = json.loads(page.locator("#data").text_content() or "")["figures"]
    assert set(figures) == {"front", "hypervolume", "slices", "pairs", "importance", "parallel", "curves", "spending"}
    assert page.locator(".plot .main-svg").count() >= len(figures)
    front = pd.read_parquet(report / "tables" / "front.parquet")

    points = page.locator("#front .scatterlayer .trace.scatter").nth(2).locator(".points path")
    assert points.count() == len(front)
    box = points.first.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.locator("#picked:not(:empty)").wait_for()
    command = page.locator("#picked code").inner_text()
    assert command in set(front["reproduce"])
    assert page.evaluate("navigator.clipboard.readText()") == command

    page.locator("article button[data-copy]").first.click()
    assert page.evaluate("navigator.clipboard.readText()") == front["reproduce"].iloc[0]
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert watched.faults(page) == []
    assert watched.complaints == []
    assert watched.beyond == []
