"""The two worlds that a trial can be trained in: one worker, or a group of workers of `torch.distributed`."""

import torch
import torch.distributed as dist
from torch import Tensor


class SingleWorld:
    """One worker: nothing to gather, nothing to average, nothing sent."""

    rank = 0
    size = 1
    sent_bytes = 0

    def gather(self, tensor_B: Tensor) -> Tensor:
        """The rows themselves, without gradient."""
        return tensor_B.detach()

    def mean_(self, tensors: list[Tensor]) -> None:
        """One worker's values are their mean."""

    def leaving(self) -> bool:
        """Nobody has said so."""
        return False


class GroupWorld:
    """The workers of the default process group (gloo or nccl), which must be there already.

    `gather` needs the same shape on each worker; `mean_` the same list of shapes.

    `sent_bytes` counts what this worker has sent of tensors, as both backends send them, around a ring of N workers:
    its own m bytes and those that it passes on, (N - 1) m, to gather; and to average m bytes 2 m (N - 1) / N, since
    each of N parts goes around once as a sum that grows and once as a result (Patarasuk and Yuan 2009, section 4).
    """

    def __init__(self) -> None:
        self.rank = dist.get_rank()
        self.size = dist.get_world_size()
        self._averaged_bytes = self._gathered_bytes = 0

    @property
    def sent_bytes(self) -> float:
        """Bytes of tensors that this worker has sent to the next one, since the world was made."""
        others = self.size - 1
        return others * self._gathered_bytes + 2 * others / self.size * self._averaged_bytes

    def gather(self, tensor_B: Tensor) -> Tensor:
        """The rows of all workers, rank after rank, without gradient."""
        own_B = tensor_B.detach().contiguous()
        gathered = [torch.empty_like(own_B) for _ in range(self.size)]
        dist.all_gather(gathered, own_B)
        self._gathered_bytes += own_B.nbytes
        return torch.cat(gathered)

    def mean_(self, tensors: list[Tensor]) -> None:
        """Replace each tensor by its mean over the workers, in place; one message for each type of number."""
        for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
            same = [tensor for tensor in tensors if tensor.dtype == dtype]
            flat = torch.cat([tensor.detach().reshape(-1) for tensor in same])
            dist.all_reduce(flat)
            self._averaged_bytes += flat.nbytes
            flat /= self.size
            for tensor, mean in zip(same, torch.split(flat, [tensor.numel() for tensor in same]), strict=True):
                tensor.detach().copy_(mean.view_as(tensor))

    def leaving(self) -> bool:
        """Nobody has said so."""
        return False
