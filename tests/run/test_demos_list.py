import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rlpd_robot import cli
from rlpd_robot.data.demo_store import StoreWriter
from rlpd_robot.data.edits import hide_episode
from tests.data.episodes import make_episode, make_problem


@pytest.fixture
def store(tmp_path: Path) -> str:
    path = tmp_path / "demos.zarr"
    with StoreWriter(path, make_problem()) as writer:
        for i in (1, 3, 4):  # 8, 22 and 29 steps
            e = make_episode(i)
            n = len(e)
            writer.append(
                replace(
                    e,
                    rewards=np.full(n, -1, np.float32),
                    success=np.arange(n) == (12 if i == 3 else -1),
                    intervened=np.arange(n) < n // 2,
                    safety=np.zeros(n, np.uint16),
                    policy_versions=np.arange(n) + 40 if i == 3 else np.full(n, -1),
                    stamps_s=np.arange(n)[:, None] * 0.02 + np.zeros(4),
                )
            )
    hide_episode(path, 2, "slipped")
    return str(path)


def test_one_line_an_episode(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demos", "list", store]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "episode  steps  ended       success  return    policy    person  safety  cause",
        "      0      8  truncated   no       -8        -           50 %     0 %  cause 1 – naïve",
        "      1     22  terminated  at 12    -22       40-61       50 %     0 %  cause 3 – naïve",
        "      2     29  truncated   no       -29       -           48 %     0 %  hidden: slipped",
    ]


def test_list_for_a_machine(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demos", "list", store, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [e["index"] for e in found] == [0, 1, 2]
    assert found[1]["solved_at"] == 12
    assert found[1]["policy_versions"] == [40, 61]
    assert [e["hidden"] for e in found] == [None, None, "slipped"]
    assert found[0]["period_s"] == pytest.approx(0.02)


def test_stats_leave_hidden_episodes_out(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demos", "stats", store, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["episodes"], found["transitions"], found["success_rate"]) == (2, 30, 0.5)
    assert found["steps"] == {"low": 8, "median": 15, "p99": pytest.approx(21.86), "high": 22}
    assert found["solved_at"]["median"] == 12
    assert found["period_ms"]["median"] == pytest.approx(20)
    assert [r["name"] for r in found["action"]] == ["targets[0]", "targets[1]", "targets[2]"]
    both = np.concatenate([make_episode(i).actions for i in (1, 3)])
    assert found["action"][2]["low"] == both[:, 2].min()
    assert found["observation"][4]["mean"] == pytest.approx(
        np.concatenate([make_episode(i).observations for i in (1, 3)])[:, 4].mean(), abs=1e-6
    )


def test_stats_for_a_person(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demos", "stats", store]) == 0
    out = capsys.readouterr().out
    assert out.startswith("2 episodes, 30 transitions, not counting hidden ones\nsteps      8 to 22, median 15")
    assert "period ms  20 to 20, median 20, 99 % below 20 (20 wanted)\n" in out
    assert "\naction targets[2] " in out


def test_an_empty_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with StoreWriter(tmp_path / "s.zarr", make_problem()):
        pass
    for verb in ("list", "stats"):
        assert cli.main(["demos", verb, str(tmp_path / "s.zarr")]) == 0
        assert cli.main(["demos", verb, str(tmp_path / "s.zarr"), "--json"]) == 0
    assert "0 episodes, 0 transitions" in capsys.readouterr().out


def test_diff_tells_by_its_status(store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demos", "diff", store, store]) == 0
    assert capsys.readouterr().out == "3 episodes are the same in every field. Nothing differs.\n"
    other = str(tmp_path / "other.zarr")
    with StoreWriter(other, make_problem()) as writer:
        writer.append(make_episode(1))
        writer.append(make_episode(2))
    assert cli.main(["demos", "diff", store, other]) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("attribute: edits: [{'what': 'hide'")
    assert out[1:3] == [f"only in {store}: episodes 1, 2", f"only in {other}: episodes 1"]
    assert out[3].startswith("episode 0: rewards in 8 of 8 rows, first in row 0; success in")
    assert out[4] == "0 episodes are the same in every field."
    assert cli.main(["demos", "diff", store, other, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["equal"], found["only_ours"], found["changed"][0]["theirs"]) == (False, [1, 2], 0)


def test_seal_then_validate(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demos", "seal", store, "--json"]) == 0
    digest = json.loads(capsys.readouterr().out)["sha256"]
    assert cli.main(["demos", "validate", store, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == {"sound": True, "episodes": 3, "sealed": True, "problems": []}
    assert cli.main(["demos", "validate", store]) == 0
    assert capsys.readouterr().out.endswith("It holds what it was sealed with.\n")
    assert cli.main(["demos", "info", store]) == 0
    assert f"SHA-256 of its content {digest}" in capsys.readouterr().out
    assert cli.main(["demos", "info", store, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["hidden"] == 1
    assert cli.main(["demos", "edit", "undo", store]) == 2
    assert "it is sealed, and stays as it is" in capsys.readouterr().err


def test_a_reader_that_has_read_enough(store: str) -> None:
    program = f"{sys.executable} -m rlpd_robot demos list {store} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.stderr, done.stdout.strip() in ("0", "141")) == ("", True)
