"""Named tensors on disk with a JSON record beside them: safetensors, so that a file cannot carry code.

``<name>.safetensors`` is written first, then ``<name>.json`` with the record and a SHA-256 over both: a file pair is
complete only when its record is there, and a pair that does not match its digest is refused.
"""

import hashlib
import json
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from trainables.outcomes import DamagedFile, NewerFile
from trainables.storage import Storage

#: Version of the files: raise it whenever an older program would misread them. Those that do not say have the first.
_FORMAT = 1


def write_tensors(storage: Storage, name: str, tensors: dict[str, Tensor], record: dict[str, Any]) -> None:
    """Write tensors and their record under `name`."""
    content = safetensors.torch.save({key: tensor.contiguous() for key, tensor in tensors.items()})
    storage.write(f"{name}.safetensors", content)
    stored = {"format": _FORMAT, "sha256": _pair_digest(content, record), "record": record}
    storage.write(f"{name}.json", json.dumps(stored, sort_keys=True).encode())


def read_tensors(storage: Storage, name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and record. Nothing that the files hold is executed.

    Raises FileNotFoundError if the pair is not complete, `DamagedFile` if it does not match or holds something else,
    and `NewerFile` if a newer version wrote it.
    """
    stored_text, content = storage.read(f"{name}.json"), storage.read(f"{name}.safetensors")
    try:
        stored = json.loads(stored_text)
        version, expected, record = int(stored.get("format", _FORMAT)), stored["sha256"], dict(stored["record"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedFile(f"{storage.uri}/{name}.json is not a record of tensors ({error}); delete the pair") from error
    if version > _FORMAT:
        raise NewerFile(f"{storage.uri}/{name}.json", version, _FORMAT)
    found = _pair_digest(content, record)
    if found != expected:
        raise DamagedFile(
            f"{storage.uri}/{name}.safetensors and .json have SHA-256 {found}, the latter says {expected}; "
            "delete the pair"
        )
    try:
        return safetensors.torch.load(content), record
    except SafetensorError as error:
        raise DamagedFile(f"{storage.uri}/{name}.safetensors holds no tensors ({error}); delete the pair") from error


def _pair_digest(content: bytes, record: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode() + content).hexdigest()


def tensors_digest(tensors: dict[str, Tensor]) -> str:
    """SHA-256 over names, shapes, types and bytes, in the order of names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.view(-1).numpy().tobytes())
    return digest.hexdigest()
