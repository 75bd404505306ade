"""Methods that need several parts to go together: a tree of a trial that a sweep file may start from.

``trial: {preset: simskip, objective: {temperature: 0.2}}`` is the preset's tree with the file's values in it.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces.errors import Problem, nearest
from search_spaces.grammar import KINDS

KEY = "preset"


@dataclass(frozen=True)
class Preset:
    """A named combination, with where it comes from and where it departs from it."""

    what: str
    source: str
    departures: str
    tree: Mapping[str, Any]


PRESETS = {
    "simskip": Preset(
        what="An adapter with a skip connection on the frozen teacher's features, contrasted with itself on two views "
        "made by masking and noise; measured as a gain over these features (`*_gain`).",
        source="Liu et al. 2024, arXiv 2404.08701",
        departures="A reconstruction: the method's equations and tables could not be read. Negatives carry no "
        "gradient; layer instead of batch normalisation.",
        tree={
            "student": {"name": "adapter"},
            "objective": {"name": "infonce", "positive": "view", "temperature": 0.1},
            "memory": {"name": "in_batch"},
            "negatives": {"name": "uniform", "count": 63},
        },
    ),
    "hybrid": Preset(
        what="An encoder-decoder student that contrasts with the teacher and models its images: a contrastive term "
        "plus a likelihood.",
        source="Kim et al. 2021, arXiv 2106.06162",
        departures="A reconstruction: loss weights and sizes could not be read. Convolutions instead of a transformer; "
        "the contrast is with a teacher.",
        tree={
            "student": {"name": "encoder_decoder"},
            "objective": {
                "name": "sum",
                "terms": {
                    "contrast": {"weight": 1.0, "objective": {"name": "crd", "temperature": 0.1}},
                    "likelihood": {"weight": 1.0, "objective": {"name": "likelihood"}},
                },
            },
        },
    ),
}


def expand(trial: dict[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """The trial with its preset in the place of the key that names it, if there is one; and what is wrong with it."""
    if KEY not in trial:
        return trial, []
    rest = {key: value for key, value in trial.items() if key != KEY}
    name = trial[KEY]
    if not isinstance(name, str) or name not in PRESETS:
        rule = f"a preset is one of: {', '.join(PRESETS)}"
        return rest, [Problem(f"trial.{KEY}", name, rule, nearest(str(name), tuple(PRESETS)))]
    return _merged(copy.deepcopy(PRESETS[name].tree), rest), []  # what comes of it may be written to


def _merged(preset: Mapping[str, Any], written: Mapping[str, Any]) -> dict[str, Any]:
    """What is written wins; mappings of the same member are merged key by key."""
    merged = {**preset, **written}
    for key in preset.keys() & written.keys():
        if _goes_on(preset[key], written[key]):
            merged[key] = _merged(preset[key], written[key])
    return merged


def _goes_on(preset: Any, written: Any) -> bool:
    if not isinstance(preset, Mapping) or not isinstance(written, Mapping) or any(kind in written for kind in KINDS):
        return False
    return bool(written.get("name", preset.get("name")) == preset.get("name"))
