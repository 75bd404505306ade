"""Where a result comes from: the code that made it and the environment that it ran in."""

import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("trainables", "search_spaces", "sweeps", "dashboards")

#: What a checkout that was sent to a cluster says of its history, which it left behind (`sweeps.jobs.shipment`).
SHIPPED, SHIPPED_PATCH = "submitted/checkout.json", "submitted/checkout.patch"

_LIBRARIES = ("torch", "ray", "optuna", "mlflow", "pyarrow", "numpy", "scikit-learn", "pydantic", "safetensors")

#: Keys of `environment` on which the bits of a result depend. Where all are equal, so are the bits.
PLATFORM = (
    *("machine", "cpu", "cpu_capability", "accelerators", "libc", "python", "torch", "torch_build"),
    *("numpy", "scikit-learn", "switches"),
)

#: Variables that choose the kernels of torch and of the libraries below it.
_SWITCHES = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_CBWR", "CUBLAS_WORKSPACE_CONFIG", "NVIDIA_TF32_OVERRIDE")

_DIFF = (
    "--binary",
    "--full-index",
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    "--src-prefix=a/",
    "--dst-prefix=b/",
)


@functools.cache
def code_digest(root: Path = ROOT) -> str:
    """SHA-256 over the Python files of what decides a result: names and contents, in order. `root` is a checkout."""
    digest = hashlib.sha256()
    for path in sorted(root.glob("trainables/**/*.py")) + sorted(root.glob("search_spaces/**/*.py")):
        digest.update(str(path.relative_to(root)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def environment() -> dict[str, str]:
    """Versions, platform and git state."""
    import torch  # for those who ask, and not for all who import this

    versions = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return {
        **versions,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpu": _cpu(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "accelerators": _said("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader")
        .decode()
        .strip(),
        "libc": " ".join(platform.libc_ver()),
        "torch_build": hashlib.sha256(torch.__config__.show().encode()).hexdigest(),
        "switches": " ".join(f"{name}={os.environ[name]}" for name in _SWITCHES if name in os.environ),
        **checkout(),
    }


def checkout() -> dict[str, str]:
    """The commit of the checkout, and whether there is more in it; empty strings where git knows nothing of it."""
    if (shipped := ROOT / SHIPPED).is_file():
        known: dict[str, str] = json.loads(shipped.read_text())
        return known
    dirty = str(bool(_git("status", "--porcelain").strip())).lower()
    return {"git_commit": _git("rev-parse", "HEAD").decode().strip(), "git_dirty": dirty}


def patch() -> bytes:
    """What the packages hold and their commit does not, for `git apply`; empty if nothing, or without git.

    Files that git does not know are in it if they are Python: others may be anything.
    """
    if (shipped := ROOT / SHIPPED_PATCH).is_file():
        return shipped.read_bytes()
    unknown = _git("ls-files", "-z", "--others", "--exclude-standard", "--", *PACKAGES).decode().split("\0")
    new = [_git("diff", *_DIFF, "--no-index", "--", os.devnull, name) for name in unknown if name.endswith(".py")]
    return b"".join([_git("diff", *_DIFF, "HEAD", "--", *PACKAGES), *new])


def _cpu() -> str:
    """The model, and a digest of what it can do; what Python knows where there is no /proc."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    flags = " ".join(sorted(facts.get("flags", facts.get("Features", "")).split()))
    return f"{facts.get('model name', platform.processor())} (flags {hashlib.sha256(flags.encode()).hexdigest()[:12]})"


def _git(*arguments: str) -> bytes:
    return _said("git", "-C", str(ROOT), *arguments)


def _said(*command: str) -> bytes:
    """What a command prints; nothing if it is not there or fails. `git diff --no-index` ends with 1 if files differ."""
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        return b""
    return done.stdout if done.returncode == 0 or "--no-index" in command else b""
