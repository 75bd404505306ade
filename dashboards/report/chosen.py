"""The configs to take away: the points of the front, with what they are worth and how to get each again."""

import json
from dataclasses import dataclass
from typing import Any

import pandas as pd
import yaml

from dashboards.frames import Frames
from dashboards.report.style import shown
from sweeps.export.tables import CONFIRMED, METRICS, PARAMS
from sweeps.tables import quantity
from trainables.metrics import on_test


@dataclass(frozen=True)
class Choice:
    """A point of the front, in words."""

    trial: int
    knee: bool
    values: dict[str, str]
    seeds: str
    params: dict[str, str]
    command: str
    config: str


def chosen(frames: Frames) -> list[Choice]:
    """The sweep's front in its order: cheapest first."""
    configs = frames.trials.set_index("trial")["config"]
    points = frames.front[frames.front["on_front"]]
    return [_choice(frames, row, configs[row["trial"]]) for _, row in points.iterrows()]


def in_short(frames: Frames) -> str:
    """What compute bought, in a sentence or two."""
    points, across, up = frames.front[frames.front["on_front"]], frames.across, frames.up
    if points.empty:
        return "No trial has completed yet, so there is no front."
    if across is None:
        return f"The best {up} is {quantity(up, _end(frames, points, up))}, of trial {points['trial'].iloc[0]}."
    first, last = points.iloc[0], points.iloc[-1]
    cost, value = METRICS + across, METRICS + up
    if len(points) == 1:
        what = f"{quantity(up, first[value])} for {quantity(across, first[cost])}"
        return f"One trial beats all others on every goal: trial {first['trial']}, {up} {what}."
    knees = frames.front[frames.front["knee"]]
    knee = f" The knee is trial {knees['trial'].iloc[0]}." if len(knees) else ""
    return (
        f"{len(points)} trials stand on the front. From the cheapest to the dearest, {last[cost] / first[cost]:.3g} "
        f"times the compute ({quantity(across, first[cost])} to {quantity(across, last[cost])}) takes {up} from "
        f"{quantity(up, first[value])} to {quantity(up, last[value])}.{knee}"
    )


def trust(frames: Frames) -> str:
    """What is known of how far luck made the front."""
    points = frames.front[frames.front["on_front"]]
    tried = points[points["fresh_seeds"].notna()]
    if tried.empty:
        confirm = f"python -m sweeps confirm {frames.about.sweep}{frames.about.storage_flag}"
        return f"Each trial had one seed: which points hold is not known. {confirm}"
    hold = int((tried["front_probability"] >= 0.5).sum())
    low, high = frames.about.hypervolume_95 or (float("nan"), float("nan"))
    covered = f"hypervolume {low:.4g} to {high:.4g} (95 %, from where its own points begin)"
    return f"With fresh seeds, {hold} of {len(tried)} points of the front hold; {covered}."


def _end(frames: Frames, points: pd.DataFrame, goal: str) -> float:
    values = frames.metric(points, goal)
    return float(values.max() if frames.about.goals[goal] == "maximize" else values.min())


def _choice(frames: Frames, row: Any, config: str) -> Choice:
    named = [*frames.about.goals, *(on_test(goal) for goal in frames.about.goals)]
    values = {name: row.get(METRICS + name) for name in named}
    params = {path: shown(row.get(PARAMS + path)) for path in frames.params}
    return Choice(
        trial=row["trial"],
        knee=bool(row["knee"]),
        values={name: quantity(name, value) for name, value in values.items() if value is not None and value == value},
        seeds=_seeds(frames, row),
        params={path: value for path, value in params.items() if value != "-"},
        command=row["reproduce"],
        config=yaml.safe_dump({"trial": json.loads(config)}, sort_keys=False),
    )


def _seeds(frames: Frames, row: Any) -> str:
    if pd.isna(row["fresh_seeds"]):
        return ""
    up = frames.up
    low, high = (quantity(up, row[f"{CONFIRMED}{up}.{end}"]) for end in ("low", "high"))
    chance = f"on the true front with probability {row['front_probability']:.2f}"
    return f"{row['fresh_seeds']:.0f} fresh seeds: {low} to {high} (95 %), {chance}"
