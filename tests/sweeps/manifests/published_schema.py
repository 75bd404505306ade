"""KubeRay's schema of a RayJob, cut down to what our manifest says: a tree of JSON schemas that allow nothing else.

    python -m tests.sweeps.manifests.published_schema ray.io_rayjobs.yaml > tests/golden/rayjob-v1.schema.json

reads the custom resource definition that KubeRay publishes (ray-operator/config/crd/bases, Apache-2.0). To be run again
when the manifest says something new, or KubeRay has a new version.
"""

import json
import sys
from pathlib import Path
from typing import Any

import yaml

#: For what has names of its own: keys that are free.
_OPEN = "additionalProperties"


def cut(schema: dict[str, Any], value: Any) -> dict[str, Any]:
    """What a schema says of a value, and of all that is in it; a field that it does not know is left out."""
    kept = {key: rule for key, rule in schema.items() if key not in ("properties", "items", "description")}
    if isinstance(value, list):
        items = [cut(schema["items"], each) for each in value]
        merged: dict[str, Any] = {}
        for item in items:
            merged = _merged(merged, item)
        return {**kept, "items": merged}
    if isinstance(value, dict) and "properties" in schema:
        known = {
            name: cut(schema["properties"][name], each) for name, each in value.items() if name in schema["properties"]
        }
        return {**kept, "properties": known, _OPEN: False}
    return kept


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    both = {**one, **other}
    for name in one.keys() & other.keys():
        if isinstance(one[name], dict) and isinstance(other[name], dict):
            both[name] = _merged(one[name], other[name])
    return both


def main() -> None:
    definition = yaml.safe_load(Path(sys.argv[1]).read_text())
    [published] = [v["schema"]["openAPIV3Schema"] for v in definition["spec"]["versions"] if v["name"] == "v1"]
    manifest = yaml.safe_load(Path("tests/golden/rayjob.yaml").read_text())
    reduced = cut(published, manifest)
    reduced["properties"]["metadata"] = {"type": "object"}  # Kubernetes' own
    reduced = {"$comment": "KubeRay v1.7.0, ray.io_rayjobs.yaml, Apache-2.0, cut down", **reduced}
    print(json.dumps(reduced, indent=1))


if __name__ == "__main__":
    main()
