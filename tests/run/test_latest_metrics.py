import jax
import numpy as np

from rlpd_robot.run.latest_metrics import EVERY, LatestMetrics


def test_every_tenth_leaves_and_the_first_of_other_names() -> None:
    metrics, read = LatestMetrics(), []
    assert metrics.read() == {}
    for i in range(EVERY + 2):
        metrics.offer({"q": jax.device_put(np.float32(i)), "loss": jax.device_put(np.float32(0.5))})
        read.append(metrics.read())
    assert [row["q"] for row in read] == [0.0] * EVERY + [float(EVERY)] * 2
    assert all(row["loss"] == 0.5 for row in read)
    metrics.offer({"clone_error": jax.device_put(np.float32(7.0))})
    assert metrics.read() == {"clone_error": 7.0}
