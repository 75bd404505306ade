"""Trials as a table: one column for each value that varies, and one for a part that has several members."""

import io
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from sweeps.ledger.history import TrialRecord
from sweeps.tables import trials_table, varying

GOALS: dict[str, Any] = {"accuracy": "maximize", "cost": "minimize"}


def recorded(configs: list[dict[str, Any]]) -> list[TrialRecord]:
    return [
        TrialRecord(
            number=number,
            config=config,
            config_digest="",
            parameters={},
            distributions={},
            sampler_attributes={},
            compute={},
            rungs=[1.0],
            told=0,
            planned=datetime(2026, 1, 1, tzinfo=UTC),
            state="complete",
            metrics={"accuracy": 0.5, "cost": 1.0},
        )
        for number, config in enumerate(configs)
    ]


def shown(configs: list[dict[str, Any]]) -> list[list[str]]:
    trials = recorded(configs)
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(trials_table("Front", trials, GOALS, varying(trials)))
    lines = console.export_text().splitlines()
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if line.startswith("│")]


def test_values_that_vary_have_a_column_each_and_others_none() -> None:
    rows = shown([{"memory": {"name": "bank", "size": size}, "steps": 9} for size in (16, 64)])
    assert [row[3:] for row in rows] == [["16"], ["64"]]


def test_a_part_with_several_members_has_one_column_with_what_varies_of_the_member() -> None:
    bank = [{"memory": {"name": "bank", "size": size, "momentum": 0.5}, "batch_size": 8} for size in (16, 64)]
    queue = {"memory": {"name": "queue", "size": 32}, "batch_size": 9}
    rows = shown([*bank, queue, {"memory": {"name": "in_batch"}, "batch_size": 8}])
    assert [row[3:] for row in rows] == [
        ["bank: size 16", "8"],
        ["bank: size 64", "8"],
        ["queue: size 32", "9"],
        ["in_batch", "8"],
    ]


@pytest.mark.parametrize("sizes", [[], [16], [16, 16]])
def test_what_does_not_differ_does_not_vary(sizes: list[int]) -> None:
    assert varying(recorded([{"memory": {"size": size}} for size in sizes])) == []
