"""Many independent draws at once: how often each row is drawn, without drawing it so often.

K draws with replacement from M rows are M Poisson counts, if these happen to sum to K: given their sum, such counts are
those of so many uniform draws (Steel 1953). So counts are drawn whose sum is nearly always a little below K, and the
few draws that are missing are drawn one by one. The work is that of M rows, whatever K is.
"""

import functools

import numpy as np
import torch
from torch import Tensor

from trainables.draws import Draws, worth_picking
from trainables.negatives.candidates import pairs_of_same_key, uniform_rows_of_other_keys
from trainables.protocols import Anchors, Rows

#: Of the square root of K: so far the expected sum of the counts is below K, which it exceeds once in 10^6 times.
_BELOW = 5

_WORD = 2**16  # values of the random words that decide a count

#: Counts that are drawn at a time: memory that is taken anew for all of them costs more than what is computed in it.
_AT_ONCE = 2**18


def uniform_draws_of_other_keys(anchors: Anchors, rows: Rows, count: int, generator: torch.Generator) -> Draws:
    """K = `count` independent draws for each anchor, with replacement, from the rows that are not of its own key.

    As rows (B, K) where they are to be picked, else as counts of every row (B, M); on a GPU always as rows.
    """
    held = len(rows.key_M)
    if rows.key_M.is_cuda or worth_picking(count, held):
        return Draws(count, held, uniform_rows_of_other_keys(anchors, rows, count, generator))
    count_BM = uniform_counts(len(anchors.key_B), held, count, generator)
    own = pairs_of_same_key(anchors.key_B, rows.key_M)
    lost_B = torch.zeros(len(count_BM), dtype=torch.long).index_add_(0, own[0], count_BM[own].long())
    count_BM[own] = 0
    again_BK = uniform_rows_of_other_keys(anchors, rows, int(lost_B.max()), generator)
    return Draws(count, held, weight_BR=_with(count_BM, lost_B, again_BK))


def uniform_counts(anchors: int, rows: int, count: int, generator: torch.Generator) -> Tensor:
    """How often each row is among `count` uniform draws with replacement, by anchor: (B, M) in float32."""
    mean = max(0.0, count - _BELOW * count**0.5) / rows
    while True:
        count_BM = _poisson(mean, anchors, rows, generator)
        missing_B = count - count_BM.sum(dim=1).long()  # below 2^24, where sums of whole numbers are exact
        if missing_B.min() >= 0:  # a sum says nothing about which rows make it
            break
    rest_BK = torch.randint(rows, (anchors, int(missing_B.max())), generator=generator)
    return _with(count_BM, missing_B, rest_BK)


def _with(count_BM: Tensor, missing_B: Tensor, row_BK: Tensor) -> Tensor:
    """Counts and the first draws of each anchor, as many as it misses."""
    missing_BK = torch.arange(row_BK.shape[1]) < missing_B.unsqueeze(1)
    return count_BM.scatter_add_(1, row_BK, missing_BK.to(count_BM.dtype))


def _poisson(mean: float, anchors: int, rows: int, generator: torch.Generator) -> Tensor:
    """Independent Poisson numbers (B, M): a random word is looked up, and followed by more digits where it decides
    nothing.
    """
    count_W, border_C = _table(mean)
    count_BM = torch.empty(anchors, rows)
    for count_P in torch.split(count_BM.view(-1), _AT_ONCE):
        # four words of 16 bits at a time
        random = torch.empty(-(-len(count_P) // 4), dtype=torch.long).random_(-(2**63), None, generator=generator)
        word_P = random.view(torch.uint16)[: len(count_P)].int()
        torch.index_select(count_W, 0, word_P, out=count_P)
        open_P = (count_P < 0).nonzero().squeeze(1)
        digits_P = torch.rand(len(open_P), generator=generator, dtype=torch.float64)
        count_P[open_P] = torch.searchsorted(border_C, word_P[open_P] + digits_P, right=True).float()
    return count_BM


@functools.lru_cache(maxsize=16)
def _table(mean: float) -> tuple[Tensor, Tensor]:
    """The count that each word means, -1 where it means several; and, in words, below what each count is."""
    from scipy.special import pdtr  # most commands draw nothing

    most = int(mean + 15 * mean**0.5 + 40)  # what is above has no probability in double precision
    border_C = _WORD * torch.from_numpy(pdtr(np.arange(most), mean))  # torch's own has seven digits less
    word_W = torch.arange(_WORD, dtype=torch.float64)
    first_W, last_W = torch.searchsorted(border_C, word_W, right=True), torch.searchsorted(border_C, word_W + 1)
    return torch.where(first_W == last_W, first_W, -1).float(), border_C
