"""What a few seeds say of the mean of each point: draws from a hierarchical normal model. Pure arithmetic.

A value is its point's mean plus noise of the seed. Each point has a noise variance of its own, drawn towards the pooled
one as by `VARIANCE_DOF` more observations: on digits the spread of seeds differs threefold between points. Means lie
about a parabola in the logarithm of the goals that are exact (accuracy over cost), with deviations of a size that is
estimated too (Gelman et al. 2013, Bayesian Data Analysis, section 5.4; half-Cauchy prior: Gelman 2006). Without that,
the noise of every rival would count against a point, and chances of standing on the front come out far too low.
The value by which a sweep chose a point is no part of this: it was chosen for being high.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

VARIANCE_DOF = 4
_MEAN_SPREAD = 0.5  # median of the prior of deviations from the parabola, in standard deviations of a seed
_SPREADS = np.geomspace(0.05, 20, 60)  # deviations that are considered, in the same unit


def draw_means(values: Sequence[Floats], exact: NDArray[np.bool_], draws: int, seed: int = 0) -> Floats:
    """(draws, points, metrics) from the joint posterior of the means.

    `values` holds (seeds, metrics) for each point, at least one seed; `exact` says which metrics have no noise. Noise
    of several metrics of a trial is correlated as it is on the whole. Raises ValueError unless some point has two
    seeds: nothing else tells how large noise is.
    """
    counts = np.array([len(each) for each in values])
    if counts.max(initial=0) < 2 or counts.min() < 1:
        raise ValueError(f"noise is told from two seeds of a point, and seeds are {counts.tolist()}; train more")
    rng = np.random.default_rng(seed)
    averages = np.array([np.where(exact, each[0], each.mean(axis=0)) for each in values])
    means = np.repeat(averages[None], draws, axis=0)
    noisy = np.flatnonzero(~exact)
    if not len(noisy):
        return means
    deviations = [(each - each.mean(axis=0))[:, noisy] for each in values]
    normal = _correlated(np.concatenate(deviations), (draws, len(values)), rng)
    curve = _curve(averages[:, exact])
    for column, metric in enumerate(noisy):
        squares = np.array([np.square(each[:, column]).sum() for each in deviations])
        pooled = squares.sum() / (counts - 1).sum()
        if pooled > 0:
            dof = VARIANCE_DOF + counts - 1
            scale = (VARIANCE_DOF * pooled + squares) / counts / dof
            variances = scale * dof / rng.chisquare(dof, (draws, len(values)))
            centre, spread = _around(averages[:, metric], scale, variances, curve, np.sqrt(pooled), rng)
            means[:, :, metric] = centre + spread * normal[:, :, column]
    return means


def seed_deviation(values: Sequence[Floats]) -> Floats:
    """The pooled standard deviation of a seed, for each metric; NaN unless some point has two seeds."""
    several = [each for each in values if len(each) > 1]
    if not several:
        return np.full(values[0].shape[1], np.nan)
    squares = np.sum([np.square(each - each.mean(axis=0)).sum(axis=0) for each in several], axis=0)
    return np.asarray(np.sqrt(squares / sum(len(each) - 1 for each in several)))


def _correlated(deviations: Floats, shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    """Standard normal numbers (*shape, metrics), correlated between metrics as `deviations` (values, metrics) are."""
    spread = np.sqrt(np.square(deviations).mean(axis=0))
    scaled = deviations / np.where(spread > 0, spread, 1)
    correlation = scaled.T @ scaled / len(scaled)
    np.fill_diagonal(correlation, 1)
    return rng.multivariate_normal(np.zeros(len(correlation)), correlation, size=shape, method="eigh")


def _curve(exact: Floats) -> Floats:
    """(points, terms) of the parabola: as many terms as the points can tell; none for fewer than four points."""
    points = len(exact)
    axes = np.where((exact > 0).all(axis=0), np.log(np.where(exact > 0, exact, 1)), exact)
    spread = axes.std(axis=0)
    axes = ((axes - axes.mean(axis=0)) / np.where(spread > 0, spread, 1))[:, spread > 0]
    terms = np.column_stack([np.ones(points), axes, axes**2])
    return terms[:, : max(0, points // 2 - 1)]


def _around(
    averages: Floats, scale: Floats, variances: Floats, curve: Floats, unit: float, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Mean and standard deviation (draws, points) of each point's mean, given draws of its average's variance."""
    if not curve.shape[1]:
        return np.broadcast_to(averages, variances.shape), np.power(variances, 0.5)
    between = _draw_spread(averages, scale, curve, unit, len(variances), rng)[:, None] ** 2
    weights, fitted = _fit(averages, variances + between, curve)
    covariance = np.linalg.inv(weights)
    normal = rng.standard_normal((len(variances), curve.shape[1], 1))
    centre: Floats = (fitted + (np.linalg.cholesky(covariance) @ normal)[..., 0]) @ curve.T
    precision: Floats = 1 / variances + 1 / between
    spread: Floats = 1 / np.sqrt(precision)
    return (averages / variances + centre / between) / precision, spread


def _draw_spread(
    averages: Floats, scale: Floats, curve: Floats, unit: float, draws: int, rng: np.random.Generator
) -> Floats:
    """Draws of the standard deviation about the curve, from its marginal posterior on a grid."""
    total = scale + (unit * _SPREADS[:, None]) ** 2
    weights, fitted = _fit(averages, total, curve)
    residuals = averages - fitted @ curve.T
    fit = np.log(total).sum(axis=1) + (residuals**2 / total).sum(axis=1) + np.linalg.slogdet(weights)[1]
    # The grid is even in the logarithm, hence the first term.
    log_posterior = np.log(_SPREADS) - np.log1p((_SPREADS / _MEAN_SPREAD) ** 2) - fit / 2
    chances = np.exp(log_posterior - log_posterior.max())
    return unit * rng.choice(_SPREADS, size=draws, p=chances / chances.sum())


def _fit(averages: Floats, variances: Floats, curve: Floats) -> tuple[Floats, Floats]:
    """Weighted least squares for each row of `variances`: precision (rows, terms, terms) and coefficients."""
    weighted = curve.T / variances[:, None, :]
    precision = weighted @ curve
    coefficients = np.linalg.solve(precision, (weighted @ averages)[..., None])[..., 0]
    return precision, coefficients.astype(np.float64, copy=False)
