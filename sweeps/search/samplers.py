"""The sampler of one suggestion, built anew for each: what it knows is in the study, never in itself."""

import hashlib
import math
import warnings
from typing import assert_never

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler

from search_spaces.policies import Gp, Grid, Nsga2, Random, SearchConfig, Tpe

#: The searches that are samplers of Optuna.
SamplerConfig = Tpe | Nsga2 | Random | Gp


def sampler_for(config: SamplerConfig, number: int) -> BaseSampler:
    """The sampler of trial `number`, seeded by the sweep's seed and that number alone."""
    match config:
        case Tpe():
            return _tpe(config, trial_seed(config.seed, number))
        case Nsga2():
            return optuna.samplers.NSGAIISampler(
                population_size=config.population, seed=trial_seed(config.seed, number)
            )
        case Random():
            return optuna.samplers.RandomSampler(seed=trial_seed(config.seed, number))
        case Gp():
            return optuna.samplers.GPSampler(seed=trial_seed(config.seed, number))
        case _:
            assert_never(config)


def trial_seed(seed: int, number: int) -> int:
    """32 bits that differ from trial to trial and are the same after a restart."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{number}".encode()).digest()[:4], "big")


def _tpe(config: Tpe, seed: int) -> BaseSampler:
    with warnings.catch_warnings():
        # `group` models the parameters of each option together, which is what a conditional space asks for.
        warnings.filterwarnings("ignore", message="Argument ``group`` is an experimental", category=ExperimentalWarning)
        return optuna.samplers.TPESampler(
            multivariate=True, group=True, n_startup_trials=config.startup_trials, seed=seed
        )


def known_ahead(config: SearchConfig) -> float:
    """How many of the first trials do not depend on how any trial ends: asking for them tells what a sweep will run.

    Infinity for all; 0 where nothing is promised.
    """
    match config:
        case Random() | Grid():
            return math.inf
        case Tpe():
            return config.startup_trials
        case Nsga2():
            return config.population  # its first generation
        case _:
            return 0
