"""What several probes do to features first."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

_ROUNDING = 1e-6  # relative: what 32-bit networks leave between outputs that ought to be the same


def unit_norm(features_NF: Tensor) -> Tensor:
    """Rows of length 1, in double precision; rows of zeros stay zeros."""
    return normalize(features_NF.double(), dim=1)


def centred(features_NF: Tensor) -> Tensor:
    """Columns of mean 0, in double precision; all zeros where the rows differ by no more than rounding."""
    features_NF = features_NF.double()
    differences_NF = features_NF - features_NF.mean(dim=0)
    varies = differences_NF.norm() > _ROUNDING * features_NF.norm()
    return differences_NF if varies else torch.zeros_like(differences_NF)
