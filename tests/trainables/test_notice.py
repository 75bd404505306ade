"""SIGTERM is a notice to a process at work, and the end of one that is not."""

import signal
import subprocess
import sys

import pytest

SCRIPT = """
import os, signal, sys
from trainables.notice import at_work, listen, warned
signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
listen()
def told():
    os.kill(os.getpid(), signal.SIGTERM)
    print(warned(), flush=True)
{script}
"""


@pytest.mark.parametrize(
    ("script", "said", "ended"),
    [
        ("with at_work(): told()", "True", False),
        ("told()", "", True),
        ("with at_work(): told(); told()", "True", True),
        ("with at_work(): pass\ntold()", "", True),
    ],
    ids=["at work", "idle", "at work, and again", "after work"],
)
def test_the_first_sigterm_at_work_is_a_notice(script: str, said: str, ended: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(script=script)], capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.stderr.strip() == "ended") == (said, ended), signal.SIGTERM
