import numpy as np
import pytest
import torch

from tests.trainables.evaluation.evidence import judged, three_class_evidence, with_student
from trainables.evaluation.linear import Linear, expected_calibration_error


def test_calibration_error_of_hand_worked_probabilities() -> None:
    confidence, correct = np.array([0.95, 0.95, 0.55, 0.55]), np.array([True, True, True, False])
    assert expected_calibration_error(confidence, correct) == pytest.approx((0.05 + 0.05) / 2)


def test_within_a_bin_errors_cancel_and_between_bins_they_do_not() -> None:
    correct = np.array([True, False])
    assert expected_calibration_error(np.array([0.5, 0.5]), correct) == pytest.approx(0.0)
    assert expected_calibration_error(np.array([0.4, 0.6]), correct) == pytest.approx(0.6)


def test_a_bin_holds_its_upper_edge() -> None:
    assert expected_calibration_error(np.array([0.2, 0.19]), np.array([True, False])) == pytest.approx((0.8 - 0.19) / 2)
    assert expected_calibration_error(np.array([1.0, 1.0]), np.array([True, True])) == 0


def test_calibration_error_is_what_a_loop_over_bins_finds() -> None:
    generator = np.random.default_rng(0)
    confidence = generator.random(500)
    correct = generator.random(500) < confidence  # calibrated: what is left is chance, of another sign in each bin
    expected = 0.0
    for m in range(15):
        members = (confidence > m / 15) & (confidence <= (m + 1) / 15)
        if members.any():
            expected += members.mean() * abs(correct[members].mean() - confidence[members].mean())
    assert expected_calibration_error(confidence, correct) == pytest.approx(expected)


def test_a_probe_that_is_sure_of_noise_is_badly_calibrated() -> None:
    clear, noise = three_class_evidence(signal=30.0), three_class_evidence(signal=0.0, held_out=600)
    assert judged(Linear(), clear)["linear_ece"] < 0.05
    assert judged(Linear(c=1000.0), noise)["linear_ece"] > judged(Linear(c=1e-4), noise)["linear_ece"] + 0.05


def test_features_that_say_nothing_get_the_shares_of_the_classes() -> None:
    measured = judged(Linear(), with_student(three_class_evidence(), torch.zeros_like))
    assert measured == pytest.approx({"linear_top1": 1 / 3, "linear_ece": 0.0}, abs=1e-6)
