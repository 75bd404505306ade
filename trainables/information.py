"""What a batch of pairs shows of the mutual information of student and teacher."""

import math

import torch
from torch import Tensor

_TEMPERATURES = (0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)


def information_bound(student_ND: Tensor, teacher_ND: Tensor, temperature: float) -> float:
    """Lower bound in nats from N pairs of unit-norm rows: log N plus the mean log-share of the true partner.

    van den Oord et al. 2018 (arXiv 1807.03748), eq. 5. At most log N.
    """
    scores_NN = student_ND.double() @ teacher_ND.double().T / temperature
    return math.log(len(scores_NN)) + float(scores_NN.log_softmax(dim=1).diagonal().mean())


def fitted_temperature(student_ND: Tensor, teacher_ND: Tensor) -> float:
    """The temperature at which these pairs show most."""
    bounds = torch.tensor([information_bound(student_ND, teacher_ND, value) for value in _TEMPERATURES])
    return _TEMPERATURES[int(bounds.argmax())]
