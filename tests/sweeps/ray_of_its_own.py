"""What a module tells that needs a Ray of its own: a process joins one."""

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any


def told_by(module: str, folder: Path, timeout_s: float) -> dict[str, Any]:
    """The last line, as JSON, that ``python -m module folder`` prints, in a process whose Ray asks for a token."""
    done = subprocess.run(
        [sys.executable, "-m", module, str(folder)],
        env={**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
