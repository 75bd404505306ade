"""What is kept of a changed checkout. That it is put together again is tested with whole reproductions."""

import logging
from pathlib import Path

import pytest

from sweeps.reproduction import code_state
from trainables.storage import Storage


def test_a_patch_is_kept_under_its_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_state, "patch", lambda: b"+a line\n")
    digest = code_state.keep_patch(Storage(str(tmp_path)))
    assert (tmp_path / "code" / f"{digest}.patch").read_bytes() == b"+a line\n"


def test_nothing_is_kept_of_code_without_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_state, "patch", lambda: b"")
    assert code_state.keep_patch(Storage(str(tmp_path))) is None
    assert list(tmp_path.iterdir()) == []


def test_a_patch_with_a_secret_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "ghp_" + "c4naryAB" * 5
    monkeypatch.setattr(code_state, "patch", lambda: f"+a line\n+token = {secret!r}\n".encode())
    with caplog.at_level(logging.WARNING):
        assert code_state.keep_patch(Storage(str(tmp_path))) is None
    assert list(tmp_path.iterdir()) == []
    assert "line 2 of the patch looks like a token of GitHub" in caplog.text
    assert secret not in caplog.text
