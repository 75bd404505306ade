"""A checkout of its own, with a commit, for trials that ran with other code than this one's."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from sweeps.provenance import PACKAGES, ROOT

#: Prints what a driver there would record of its code, whose patch it keeps.
_OPENED = """
import json, sys
from sweeps.provenance import code_digest, environment
from sweeps.reproduction.code_state import keep_patch
from trainables.storage import Storage
kept = keep_patch(Storage(sys.argv[1]))
print(json.dumps({"code_digest": code_digest(), "environment": environment(), "patch": kept}))
"""


class Checkout:
    """The packages as they are here, committed; `storage` holds the sweeps whose trials are reproduced from there."""

    def __init__(self, folder: Path, storage: Path) -> None:
        self.folder, self.storage = folder, storage
        for package in PACKAGES:
            shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
        git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b"]
        for step in (["init", "-q"], ["add", "."], ["commit", "-qm", "code"]):
            subprocess.run([*git, *step], check=True)

    def opened(self, sweep: Path) -> dict[str, Any]:
        """What a driver of the sweep in this folder would record."""
        done = self._run("-c", _OPENED, str(sweep))
        assert done.returncode == 0, done.stderr
        recorded: dict[str, Any] = json.loads(done.stdout)
        return recorded

    def reproduce(self, target: str, *options: str) -> tuple[int, dict[str, Any], str]:
        """Exit code, record and what was said to standard error."""
        done = self._run("-m", "sweeps", "reproduce", target, "--storage", str(self.storage), "--json", *options)
        return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr

    def _run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, *arguments]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
