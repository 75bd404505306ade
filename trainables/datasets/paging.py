"""Tells the system which rows of a mapped array are about to be read: it fetches them side by side, not one by one."""

import ctypes
import mmap
from typing import Any

from numpy.typing import NDArray

_madvise = ctypes.CDLL(None, use_errno=True).madvise
_madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


def will_need(rows: NDArray[Any], index_B: NDArray[Any]) -> None:
    """Announce that these rows of an array in mapped memory will be read. Changes nothing but when they arrive."""
    width = rows.strides[0]
    for start in (rows.ctypes.data + index_B * width).tolist():
        page = start - start % mmap.PAGESIZE
        _madvise(page, start + width - page, mmap.MADV_WILLNEED)
