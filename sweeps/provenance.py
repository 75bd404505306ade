"""Where a result comes from: the code that made it and the environment that it ran in."""

import functools
import hashlib
import importlib.metadata
import platform
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("trainables", "search_spaces", "sweeps", "dashboards")

_LIBRARIES = ("torch", "ray", "optuna", "mlflow", "pyarrow", "numpy", "scikit-learn", "pydantic", "safetensors")


@functools.cache
def code_digest() -> str:
    """SHA-256 over the Python files of what decides a result: names and contents, in order."""
    digest = hashlib.sha256()
    for path in sorted(ROOT.glob("trainables/**/*.py")) + sorted(ROOT.glob("search_spaces/**/*.py")):
        digest.update(str(path.relative_to(ROOT)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def environment() -> dict[str, str]:
    """Versions, platform and git state."""
    versions = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return {
        **versions,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "git_commit": _git("rev-parse", "HEAD"),
        "git_dirty": str(bool(_git("status", "--porcelain"))).lower(),
    }


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
