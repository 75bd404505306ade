"""What the workers of a trial send each other, known before it starts."""

import torch

from trainables.config import TrialConfig
from trainables.protocols import ObjectiveMember

_FLOAT_BYTES = 4
_NUMBER_BYTES = 8


def step_sent_bytes(config: TrialConfig) -> float:
    """Bytes that each of N workers sends in a training step, as `trainables.world.GroupWorld` counts them.

    Of a batch of B samples with embeddings of width D, and P parameters that are trained::

        (N - 1) * B / N * (8 + 2 * 4 * D)    its share of the batch, for memory and negatives: number, both embeddings
        (N - 1) / N * G                      what the objective gathers itself (`ObjectiveMember.gathered_bytes`)
        2 * (N - 1) / N * 4 * (1 + P)        the mean of the loss and of the gradients

    Neither B nor the number of negatives depends on N: each worker holds its B / N anchors against the same rows.
    Besides, a rung averages what batch normalisation has counted, and crd gathers one number of each side at the first
    batch of each temperature.
    """
    others = (config.workers - 1) / config.workers
    batch = config.batch_size * (_NUMBER_BYTES + 2 * _FLOAT_BYTES * config.embedding)
    gathered = (batch if "embeddings" in config.objective.reads else 0) + config.objective.gathered_bytes(
        config.shapes()
    )
    return others * (gathered + 2 * _FLOAT_BYTES * (1 + trained_parameters(config)))


def trained_parameters(config: TrialConfig) -> int:
    """P: how many numbers have a gradient in each step."""
    objective: ObjectiveMember = config.objective
    heads = 0
    if "embeddings" in objective.reads:
        heads += (config.student_width() + 1) * config.embedding
        heads += (config.teacher_width() + 1) * config.embedding if objective.trains_teacher_head else 0
    if "logits" in objective.reads:
        heads += (config.student_width() + 1) * config.task.classes
    with torch.random.fork_rng(devices=[]):
        parts = [config.student.build(config.student_inputs()), objective.build()]
    return heads + sum(parameter.numel() for part in parts for parameter in part.parameters())
