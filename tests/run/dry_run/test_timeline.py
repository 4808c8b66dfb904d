"""Where the time goes, and when the filter acted: from a book and a journal that are known."""

import numpy as np
import pytest

from rlpd_robot.robot.book import record_dtype
from rlpd_robot.robot.safety import POSITION, VELOCITY
from rlpd_robot.run.dry_run.growth import check_memory, free_memory
from rlpd_robot.run.dry_run.timeline import interventions, stages_ms
from rlpd_robot.types import Segment

PERIOD_S, STEPS = 0.01, 20


def segment(safety=0) -> Segment:
    """Acts 1 ms after each state that came, 0.2 ms in the filter, 0.3 ms to send."""
    received = 5.0 + PERIOD_S * np.arange(STEPS)
    stamps = received[:, None] + np.array([0.0, 0.001, 0.0012, 0.0015])
    bits = np.zeros(STEPS, np.uint16)
    bits[3:5] = safety
    no, zero = np.zeros(STEPS, np.bool_), np.zeros((STEPS, 2), np.float32)
    seen = np.zeros((STEPS + 1, 4), np.float32)
    rewards, versions = np.zeros(STEPS, np.float32), np.zeros(STEPS, np.int64)
    return Segment("boot", 0, 0, 0, seen, zero, zero, rewards, no, no, bits, versions, stamps)


def test_each_stage_is_told_apart() -> None:
    executed = np.zeros(STEPS, record_dtype(2))
    one = segment()
    executed["stamp_s"] = one.stamps_s[:, 3] + 0.002
    measured = one.stamps_s[:, 0] - 0.0005
    found = stages_ms(executed, measured, [one], PERIOD_S)
    np.testing.assert_allclose(found, np.tile([0.5, 1.0, 0.2, 0.3, 2.0], (STEPS, 1)), atol=1e-6)
    measured[4] = np.nan  # it is not known which state this one answers
    executed["stamp_s"][7] += 0.1  # followed so late that it is another one's
    executed["stamp_s"][0] = 1.0  # before anything was sent
    assert len(stages_ms(executed, measured, [one], PERIOD_S)) == STEPS - 3
    assert stages_ms(executed, measured, [], PERIOD_S).shape == (0, 5)


def test_interventions_by_cause_and_time() -> None:
    found = interventions([segment(POSITION | VELOCITY), segment()])
    assert (found.steps, found.seconds) == (2 * STEPS, pytest.approx(PERIOD_S * (STEPS - 1)))
    by_cause = found.by_cause()
    assert list(by_cause) == ["position", "velocity"]
    np.testing.assert_allclose(by_cause["position"], [0.03, 0.04], atol=1e-9)
    assert interventions([]).by_cause() == {}


def test_growth_is_extrapolated_to_a_session() -> None:
    flat = [(float(i), 80.0 + (0 if i else 40)) for i in range(30)]
    check = check_memory(flat, 1e9, 8.0)
    assert (check.passed, check.measured) == (True, "80 MB, growing by 0 MB/h; 1.0 GB free")
    leak = [(float(i), 80.0 + 0.1 * i) for i in range(30)]  # 360 MB/h
    assert check_memory(leak, 3e9, 8.0).passed
    assert check_memory(leak, 2e9, 8.0).passed is False
    assert check_memory(leak[:5], 2e9, 8.0).passed is None
    assert free_memory() > 0
