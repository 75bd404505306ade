"""What a frozen teacher makes of images that every trial is shown: worked out once, read by every trial of every sweep.

Arrow IPC files under a storage folder, memory-mapped where that is local. A set of images is cut into parts, so that
several processes can fill a cache together and one that was killed goes on from the parts that are there. Each part
stands beside its SHA-256; one that is missing or does not match is worked out again by whoever needs it.
"""

import hashlib
import inspect
import json
import logging
from collections.abc import Callable, Sequence

import pyarrow as pa
import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from trainables.evidence import Task
from trainables.image_sets import ImageSet, every_sample
from trainables.outcomes import DamagedFile
from trainables.placement import CPU
from trainables.storage import Storage
from trainables.teacher import BLOCK, Teacher, TeacherNetwork, TeacherOutputs, ask
from trainables.tensor_files import tensors_digest

_LOG = logging.getLogger(__name__)

#: Version of the files: raise it whenever their content or their cut changes.
_FORMAT = 1
_PART_ROWS = 4096

#: Is told how many parts are there, and of how many.
Progress = Callable[[int, int], None]


class TeacherCache:
    """The outputs of one frozen teacher. `storage` is a folder that holds nothing else (`cache_folder`)."""

    def __init__(self, network: TeacherNetwork, storage: Storage) -> None:
        self.network, self.storage = network, storage
        self._parts: dict[str, TeacherOutputs] = {}

    def rows(self, image_set: ImageSet, sample_B: Tensor) -> TeacherOutputs:
        """The outputs for these samples of a set."""
        part_B, row_B = sample_B // _PART_ROWS, sample_B % _PART_ROWS
        if len(image_set) <= _PART_ROWS:
            return self._part(image_set, 0).rows(row_B)
        order = part_B.argsort()
        rows = enumerate(torch.split(row_B[order], part_B.bincount().tolist()))
        found = [self._part(image_set, number).rows(row) for number, row in rows if len(row)]
        return TeacherOutputs.joined(found).rows(order.argsort())

    def all_rows(self, image_set: ImageSet) -> TeacherOutputs:
        """The outputs for a whole set."""
        return TeacherOutputs.joined([self._part(image_set, number) for number in range(_parts(image_set))])

    def fill(self, image_sets: Sequence[ImageSet], share: int, shares: int, progress: Progress) -> None:
        """See to it that all parts of these sets are there: this share's first, then what the others have not done.

        The others' are gone through from the end, away from where they are at work.
        """
        parts = [(image_set, number) for image_set in image_sets for number in range(_parts(image_set))]
        own = parts[share::shares]
        others = [part for place, part in enumerate(parts) if place % shares != share]
        for done, (image_set, number) in enumerate([*own, *reversed(others)], start=1):
            self._part(image_set, number)
            progress(done, len(parts))

    def _part(self, image_set: ImageSet, number: int) -> TeacherOutputs:
        name = f"{image_set.name}.{number:06d}"
        if name not in self._parts:
            self._parts[name] = self._stored(name) or self._computed(name, image_set, number)
        return self._parts[name]

    def _stored(self, name: str) -> TeacherOutputs | None:
        try:
            return _read(self.storage, name)
        except FileNotFoundError:
            return None
        except DamagedFile as error:
            _LOG.warning("%s; it is worked out again", error)
            return None

    def _computed(self, name: str, image_set: ImageSet, number: int) -> TeacherOutputs:
        sample_B = every_sample(image_set)[number * _PART_ROWS :][:_PART_ROWS]
        outputs = ask(self.network, image_set.images(sample_B)).on(CPU)
        with self.storage.alone(name):  # a part is two files, which nobody else may mix with theirs
            _write(self.storage, name, outputs)
            return _read(self.storage, name)


def cache_folder(config: Teacher, task: Task, network: TeacherNetwork) -> str:
    """The name of the folder of a teacher's outputs: the digest of all that decides them, to the last bit.

    That is the teacher, the data and its augmentation (`Teacher.digest`), the weights, should it be trained again, the
    code that asks, and, since a CPU's kernels add up in an order of their own, the kind of CPU and the number of
    threads, or the kind of GPU.
    """
    device = network.mean_F.device
    cpu = {"cpu": torch.backends.cpu.get_cpu_capability(), "threads": torch.get_num_threads()}
    record = {
        "format": _FORMAT,
        "teacher": config.digest(task),
        "weights": tensors_digest(dict(network.state_dict())),
        "asked": [BLOCK, inspect.getsource(ask)],
        **(cpu if device.type == "cpu" else {"gpu": torch.cuda.get_device_name(device)}),
    }
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _parts(image_set: ImageSet) -> int:
    return -(-len(image_set) // _PART_ROWS)


def _write(storage: Storage, name: str, outputs: TeacherOutputs) -> None:
    columns = {key: _column(tensor) for key, tensor in vars(outputs).items()}
    sink = pa.BufferOutputStream()
    table = pa.table(columns)
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    content = sink.getvalue().to_pybytes()
    storage.write(f"{name}.arrow", content)
    storage.write(f"{name}.sha256", hashlib.sha256(content).hexdigest().encode())  # a part counts once this is there


def _read(storage: Storage, name: str) -> TeacherOutputs:
    """A part, whose tensors are never to be written to. FileNotFoundError if it is not there, or `DamagedFile`."""
    expected = storage.read(f"{name}.sha256").decode(errors="replace")
    content = storage.mapped(f"{name}.arrow")
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise DamagedFile(f"{storage.uri}/{name}.arrow has SHA-256 {found}, the file beside it says {expected}")
    try:
        table = pa.ipc.open_file(content).read_all()
        return TeacherOutputs(*(_tensor(table[column]) for column in ("features", "logits")))
    except (pa.ArrowException, OSError, ValueError, KeyError, AttributeError) as error:
        raise DamagedFile(f"{storage.uri}/{name}.arrow holds no outputs of a teacher ({error})") from error


def _column(rows: Tensor) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.contiguous().view(-1).numpy()), rows.shape[1])


def _tensor(column: pa.ChunkedArray) -> Tensor:
    """(N, width), on the bytes of the file: through DLPack, since torch warns of buffers that are not to be written."""
    rows: Tensor = from_dlpack(column.combine_chunks().flatten())
    return rows.view(-1, column.type.list_size)
