"""Randomness that is a function of what it is for, never of what was drawn before.

Every stream is keyed by (seed, purpose, counter), so a resumed trial needs no generator state, the order in which
samples are looked at does not matter, and the number of loader workers does not change results (design, decision 8).
The bits come from Philox (Salmon et al., 2011), a counter-based generator.
"""

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray


def stream_seed(seed: int, purpose: str, counter: int = 0) -> int:
    """A 63-bit seed for one purpose of one trial, such as ``("negatives", step)``."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{counter}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def torch_stream(seed: int, purpose: str, counter: int = 0, device: torch.device | str = "cpu") -> torch.Generator:
    """A torch generator for one purpose and counter."""
    return torch.Generator(device=device).manual_seed(stream_seed(seed, purpose, counter))


def numpy_stream(seed: int, purpose: str, counter: int = 0) -> np.random.Generator:
    """A NumPy generator for one purpose and counter."""
    return np.random.Generator(np.random.Philox(stream_seed(seed, purpose, counter)))


def per_sample_uniforms(seed: int, purpose: str, epoch: int, samples: int, draws: int) -> NDArray[np.float32]:
    """Uniforms in [0, 1) of shape (samples, draws): row i belongs to sample i in this epoch, whoever asks for it."""
    return numpy_stream(seed, purpose, epoch).random((samples, draws), dtype=np.float32)
