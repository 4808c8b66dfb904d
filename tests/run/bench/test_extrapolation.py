from dataclasses import replace

import numpy as np
import pytest

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.run.bench import extrapolation
from tests.run.point import settings


def diamond(layer_norm: bool) -> dict:
    """|x₁| + |x₂|: four of 128 hidden units see an axis each, and the second layer passes them on."""
    kernel = np.zeros((1, 2, 128), np.float32)
    kernel[0, 0, :2], kernel[0, 1, 2:4] = (1, -1), (1, -1)
    none, value = np.zeros((1, 1, 128), np.float32), np.zeros((1, 128, 1), np.float32)
    value[0, :4] = 1
    critics = {
        "dense_0": {"kernel": kernel, "bias": none},
        "dense_1": {"kernel": np.eye(128, dtype=np.float32)[None], "bias": none},
        "value": {"kernel": value, "bias": none[..., :1]},
    }
    norms = {f"norm_{i}": {"scale": none + 1, "bias": none} for i in range(2)} if layer_norm else {}
    return critics | norms


def test_the_report_sets_answers_against_the_bound(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extrapolation, "fit", lambda config, seed: diamond(config.layer_norm))
    report = extrapolation.run_bench(settings(tmp_path, run=settings(tmp_path).run), [], lambda *_: None)
    without, bounded = report["rows"]["without LayerNorm"], report["rows"]["with LayerNorm"]
    # on a circle the sum is largest on the diagonals: √2 times the radius
    assert without["largest"] == pytest.approx([np.sqrt(2) * radius for radius in report["radii"]], rel=1e-4)
    assert without["bound"] is None
    assert bounded["bound"] == pytest.approx(2 * np.sqrt(128), rel=1e-4)  # |w| = 2, hidden √128, no biases
    assert bounded["largest"][-1] == pytest.approx(bounded["largest"][0], rel=1e-2)  # LayerNorm takes the radius away
    assert bounded["largest"][-1] < bounded["bound"]
    assert (tmp_path / "extrapolation.png").read_bytes().startswith(b"\x89PNG")
    assert "the data ends at radius 0.5" in extrapolation.table(report)
    assert report["passed"] == (bounded["largest"][-1] < without["largest"][-1])


def test_a_critic_learns_the_radius_within_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extrapolation, "_STEPS", 500)
    config = AgentConfig(ensemble=1, target_subset=1, hidden_layers=1, hidden_width=16)
    critics = extrapolation.fit(replace(config, layer_norm=False), seed=0)
    angle = np.linspace(0, 6, 7)
    rim = 0.5 * np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
    np.testing.assert_allclose(extrapolation.ask(critics, rim), 0.5, atol=0.2)
