"""What our own code never does, and versions below which it would not be safe."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from sweeps.doctor.versions import floors

PACKAGES = ("trainables", "search_spaces", "sweeps", "dashboards")
FILES = [file for package in PACKAGES for file in sorted(Path(package).rglob("*.py"))]

#: An unpickler that knows arrays, and no other class or function; run when it is asked for (`data ingest --unpickle`).
ALLOWED = {"sweeps/data/sources/cifar.py": ["pickle"]}

#: They run what they read.
MODULES = {"pickle", "cPickle", "cloudpickle", "dill", "marshal", "shelve", "joblib"}
NAMES = {"eval", "exec", "compile", "__import__"}
CALLS = {"torch.load", "yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load", "os.system", "os.popen"}
ARGUMENTS = {"shell", "allow_pickle"}
LOADERS = {"Loader", "UnsafeLoader", "FullLoader", "CLoader"}


def unsafe(source: str) -> Iterator[str]:
    """What a module does that could run code which came with data."""
    tree = ast.parse(source)
    restricted = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call) and loads_weights_only(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name for name in names if name.partition(".")[0] in MODULES or name in CALLS)
        elif isinstance(node, ast.Attribute):
            name = ast.unparse(node)
            if (name in CALLS and id(node) not in restricted) or (name.startswith("yaml.") and node.attr in LOADERS):
                yield name
        elif isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in NAMES:
                yield node.func.id
            given = [word for word in node.keywords if word.arg in ARGUMENTS]
            yield from (str(word.arg) for word in given if ast.unparse(word.value) != "False")


def loads_weights_only(call: ast.Call) -> bool:
    """Whether it is torch's reader of tensors and plain values, which calls nothing that a file names."""
    only = [ast.unparse(word.value) for word in call.keywords if word.arg == "weights_only"]
    return ast.unparse(call.func) == "torch.load" and only == ["True"]


@pytest.mark.parametrize("file", FILES, ids=str)
def test_no_module_of_ours_runs_what_it_reads(file: Path) -> None:
    assert list(unsafe(file.read_text())) == ALLOWED.get(str(file), [])


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import cloudpickle as c",
        "from pickle import loads",
        "from torch import load",
        "import torch\ntorch.load('x')",
        "torch.load('x', weights_only=False)",
        "torch.load('x', weights_only=maybe)",
        "reader = torch.load",
        "eval('1')",
        "yaml.load(text, yaml.FullLoader)",
        "class A(yaml.Loader): ...",
        "np.load('x', allow_pickle=True)",
        "subprocess.run(line, shell=flag)",
        "os.system('true')",
    ],
)
def test_the_search_finds_each_of_them(source: str) -> None:
    assert list(unsafe(source))


def test_the_search_leaves_alone_what_is_safe() -> None:
    assert list(unsafe("torch.load(x, weights_only=True)")) == []
    assert list(unsafe("model.eval(); re.compile(x); yaml.safe_load(t); np.load(f, allow_pickle=False)")) == []


def test_no_lower_bound_is_below_its_floor() -> None:
    requirements = [
        Requirement(line) for line in tomllib.loads(Path("pyproject.toml").read_text())["project"]["dependencies"]
    ]
    lowest = {
        one.name: max(Version(part.version) for part in one.specifier if part.operator in (">=", "=="))
        for one in requirements
    }
    pins = dict(line.split("==") for line in Path("constraints.txt").read_text().splitlines())
    lowest |= {name.lower(): Version(pin) for name, pin in pins.items() if name.lower() not in lowest}
    for package, (floor, why) in floors().items():
        assert lowest[package] >= floor, why
        assert why
