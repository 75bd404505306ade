"""Where a trial is trained: on the GPU that its worker was given, or on the CPU."""

import torch
from torch import Tensor

CPU = torch.device("cpu")


def training_device() -> torch.device:
    """The GPU that this process is set to, or the CPU.

    Ray sets each worker of a group to one of its own; what is set to none has the first that it may see.

    A GPU is told to convolve in float32 where that is asked for, and not in the fewer digits of TF32.
    """
    torch.backends.cudnn.allow_tf32 = False
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else CPU


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on a device. To a GPU it is copied while this process goes on, from memory that stays in its place."""
    if tensor.device == device:
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
