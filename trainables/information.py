"""What pairs of rows show of the mutual information of two networks."""

import math

from torch import Tensor

_LEAST_TEMPERATURE = 0.01


def infonce_bound(cosines: Tensor, temperature: float) -> float:
    """Lower bound in nats, log K + E log softmax of the pairs on the diagonals of (groups, K, K); at most log K.

    van den Oord et al. 2018 (arXiv 1807.03748), eq. 5; Poole et al. 2019 (arXiv 1905.06922), eq. 10.
    """
    scores = cosines.double() / temperature
    log_share = scores.diagonal(dim1=1, dim2=2) - scores.logsumexp(dim=2)
    return math.log(cosines.shape[2]) + log_share.mean().item()


def best_temperature(cosines: Tensor) -> float:
    """The temperature, of at least 0.01, with the greatest bound, which is concave in 1/T: it has no local maxima."""
    from scipy.optimize import minimize_scalar

    def loss(inverse: float) -> float:
        return -infonce_bound(cosines, 1 / inverse)

    found = minimize_scalar(loss, bounds=(0, 1 / _LEAST_TEMPERATURE), method="bounded", options={"xatol": 0.05})
    return 1 / float(found.x)
