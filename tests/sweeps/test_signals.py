"""Signals where Python cannot raise, and where it cannot even run."""

import ctypes
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sweeps import signals
from sweeps.signals import Interrupted, listening


class Swallows:
    """Python drops what is raised in a finaliser."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_that_python_drops_is_raised_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "_AGAIN_S", 0.2)
    dropped, began = list[bool](), time.monotonic()
    with pytest.raises(Interrupted) as interrupt, listening(lambda: None) as heard, heard.obeyed():
        _work_on_after_a_dropped_signal(dropped)
    assert dropped == [True]
    assert interrupt.value.signum == signal.SIGTERM
    assert time.monotonic() - began < 10, "it was not raised again, but found in the end"


def _work_on_after_a_dropped_signal(dropped: list[bool]) -> None:
    Swallows()
    dropped.append(True)
    time.sleep(30)


def test_an_alarm_of_our_own_ends_a_block() -> None:
    with pytest.raises(Interrupted) as interrupt, listening(lambda: None) as heard, heard.obeyed(0.1):
        time.sleep(30)
    assert interrupt.value.signum == signal.SIGALRM


def test_afterwards_signals_are_what_they_were() -> None:
    before = [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)]
    with listening(lambda: None) as heard, heard.obeyed():
        pass
    assert [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)] == before
    assert signal.set_wakeup_fd(-1) == -1


def hang_in_compiled_code() -> None:
    """A mutex that is locked twice: a system call that no signal ends."""
    library, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(64)
    for _ in range(2):
        library.pthread_mutex_lock(mutex)


def wait_for_ever() -> None:
    time.sleep(60)


@pytest.mark.parametrize(("work", "left"), [(hang_in_compiled_code, True), (wait_for_ever, False)])
def test_a_process_that_cannot_obey_is_ended_with_the_code_of_its_signal(
    work: Callable[[], None], left: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signals, "_AT_LATEST_S", 1.0)
    child = os.fork()
    if child == 0:
        try:
            with listening((tmp_path / "left").touch) as heard, heard.obeyed():
                (tmp_path / "begun").touch()
                work()
        except Interrupted as interrupt:
            os._exit(128 + interrupt.signum)
        os._exit(9)
    while not (tmp_path / "begun").exists():
        time.sleep(0.01)
    time.sleep(0.2)
    began = time.monotonic()
    os.kill(child, signal.SIGTERM)
    _, status = os.waitpid(child, 0)
    assert os.WEXITSTATUS(status) == 143
    assert time.monotonic() - began < 10
    assert (tmp_path / "left").exists() == left


def test_a_second_signal_ends_even_a_process_that_cannot_hear_the_first(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        with listening((tmp_path / "left").touch) as heard, heard.obeyed():
            (tmp_path / "begun").touch()
            hang_in_compiled_code()
        os._exit(9)
    while not (tmp_path / "begun").exists():
        time.sleep(0.01)
    began = time.monotonic()
    for _ in range(2):
        time.sleep(0.2)
        os.kill(child, signal.SIGINT)
    _, status = os.waitpid(child, 0)
    assert os.WEXITSTATUS(status) == 130
    assert time.monotonic() - began < 3
