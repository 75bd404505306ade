"""What there is to train on."""

import os
from collections.abc import Iterator

import torch

from sweeps.doctor.finding import Finding


def devices() -> Iterator[Finding]:
    """CPUs that this process may use, GPUs, and the build of torch."""
    yield Finding("CPUs", "ok", f"{len(os.sched_getaffinity(0))} of {os.cpu_count()}")
    count = torch.cuda.device_count()
    if count:
        names = ", ".join(torch.cuda.get_device_name(index) for index in range(count))
        yield Finding("GPUs", "ok", f"{names}; torch {torch.__version__}")
    elif torch.version.cuda:
        fix = "nvidia-smi says what the driver sees; on a machine without a GPU this is as it should be"
        yield Finding("GPUs", "warning", f"none, and torch {torch.__version__} is built for CUDA", fix)
    else:
        yield Finding("GPUs", "ok", f"none, and torch {torch.__version__} is built without CUDA")
