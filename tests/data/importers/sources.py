"""Source files of every format, made by the formats' own libraries from the episodes of `tests.data.episodes`.

What a format cannot hold is left out, so that `expected` is what must come back.
"""

import json
import pickle
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numcodecs
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr
from numpy.typing import NDArray
from zarr.storage import ZipStore

from rlpd_robot.types import Segment
from tests.data.episodes import make_episode

Rows = dict[str, NDArray[Any]]


def episodes(indices: Sequence[int] = (1, 3, 4)) -> list[Segment]:
    """Episodes of 8, 22 and 29 transitions that ended truncated, terminated, truncated."""
    endings = ("truncated", "terminated", "truncated")
    return [replace(make_episode(i), ending=endings[k % 3]) for k, i in enumerate(indices)]


def write_dapg(path: Path, data: Sequence[Segment], protocol: int = 3) -> None:
    """As DAPG's own recorder: double precision, T observations for T actions."""
    paths = [
        {
            "observations": e.observations[:-1].astype(np.float64),
            "actions": e.actions.astype(np.float64),
            "rewards": e.rewards.astype(np.float64),
            "init_state_dict": {"qpos": np.zeros(30), "qvel": np.zeros(30)},
        }
        for e in data
    ]
    path.write_bytes(pickle.dumps(paths, protocol))


def serl_transitions(data: Sequence[Segment]) -> list[dict[str, Any]]:
    """As SERL's recorder: observations of one time step in a window of one, and a picture."""
    return [
        {
            "observations": {"state": e.observations[t][None], "wrist": np.zeros((1, 4, 4, 3), np.uint8)},
            "actions": e.actions[t],
            "next_observations": {"state": e.observations[t + 1][None], "wrist": np.zeros((1, 4, 4, 3), np.uint8)},
            "rewards": np.float64(e.rewards[t]),
            "masks": 1.0 - float(t + 1 == len(e) and e.ending == "terminated"),
            "dones": t + 1 == len(e),
            "infos": {"intervene_action": e.actions[t]} if e.intervened[t] else {},
        }
        for e in data
        for t in range(len(e))
    ]


def write_serl(path: Path, data: Sequence[Segment]) -> None:
    path.write_bytes(pickle.dumps(serl_transitions(data)))


def write_d4rl(path: Path, data: Sequence[Segment], following: bool = True, **options: Any) -> None:
    """As D4RL's collectors: everything after each other."""
    last = [np.arange(len(e)) == len(e) - 1 for e in data]
    columns = {
        "observations": np.concatenate([e.observations[:-1] for e in data]),
        "actions": np.concatenate([e.actions for e in data]),
        "rewards": np.concatenate([e.rewards for e in data]),
        "terminals": np.concatenate([x & (e.ending == "terminated") for x, e in zip(last, data, strict=True)]),
        "timeouts": np.concatenate([x & (e.ending == "truncated") for x, e in zip(last, data, strict=True)]),
        "infos/success": np.concatenate([e.success for e in data]),
    }
    if following:
        columns["next_observations"] = np.concatenate([e.observations[1:] for e in data])
    with h5py.File(path, "w") as file:
        for name, values in columns.items():
            file.create_dataset(name, data=values, **options)


def write_robomimic(path: Path, data: Sequence[Segment], following: bool = True) -> None:
    """As robomimic's conversion scripts; two observation arrays and a picture."""
    with h5py.File(path, "w") as file:
        group = file.create_group("data")
        for i, e in enumerate(data):
            demo = group.create_group(f"demo_{i}")
            demo.attrs["num_samples"] = len(e)
            demo["actions"] = e.actions.astype(np.float64)
            demo["rewards"] = e.rewards.astype(np.float64)
            demo["dones"] = (np.arange(len(e)) == len(e) - 1).astype(np.int64)
            for name, o in (("obs", e.observations[:-1]), *((("next_obs", e.observations[1:]),) if following else ())):
                demo[f"{name}/eef"] = o[:, :2].astype(np.float64)
                demo[f"{name}/joints"] = o[:, 2:].astype(np.float64)
                demo[f"{name}/wrist_image"] = np.zeros((len(o), 4, 4, 3), np.uint8)


def write_minari(folder: Path, data: Sequence[Segment], name: str = "tests/reach-v0") -> Path:
    """By the library minari itself, below `folder`; the dataset's own folder."""
    import gymnasium as gym
    import minari
    from minari.data_collector import EpisodeBuffer

    buffers = [
        EpisodeBuffer(
            id=i,
            observations=e.observations,
            actions=e.actions,
            rewards=e.rewards.astype(np.float64).tolist(),
            terminations=(np.arange(len(e)) == len(e) - 1) & (e.ending == "terminated"),
            truncations=(np.arange(len(e)) == len(e) - 1) & (e.ending == "truncated"),
            infos={"success": np.concatenate([[False], e.success])},
        )
        for i, e in enumerate(data)
    ]
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setenv("MINARI_DATASETS_PATH", str(folder))
        warnings.simplefilter("ignore")  # it would like an environment to be named
        minari.create_dataset_from_buffers(
            name,
            buffers,
            observation_space=gym.spaces.Box(-np.inf, np.inf, (data[0].observations.shape[1],), np.float32),
            action_space=gym.spaces.Box(-1, 1, (data[0].actions.shape[1],), np.float32),
            data_format="hdf5",
            description="for tests",
            author="tests",
            author_email="tests@example.com",
        )
    return folder / name


def write_diffusion_policy(path: Path, data: Sequence[Segment], archive: bool = False, **options: Any) -> None:
    """As diffusion_policy's ReplayBuffer, by zarr itself: no reward, no ending, no final observation."""
    store: Any = ZipStore(path, mode="w") if archive else path
    group = zarr.open_group(store, mode="w", zarr_format=2)
    options = {"chunks": True, "compressors": numcodecs.Blosc("zstd", 5, 2), **options}

    def add(name: str, values: NDArray[Any]) -> None:
        chunks = (min(len(values), 20), *values.shape[1:]) if options["chunks"] is True else options["chunks"]
        group.create_array(name, data=values, chunks=chunks, compressors=options["compressors"])

    add("data/action", np.concatenate([e.actions for e in data]))
    add("data/joints", np.concatenate([e.observations[:-1, :3] for e in data]))
    add("data/effector", np.concatenate([e.observations[:-1, 3:].astype(np.float64) for e in data]))
    add("data/camera", np.zeros((sum(map(len, data)), 4, 4, 3), np.uint8))
    add("meta/episode_ends", np.cumsum([len(e) for e in data]))
    if archive:
        store.close()


def write_lerobot(folder: Path, data: Sequence[Segment], version: str = "v2.1") -> None:
    """After LeRobot's published layout, by pyarrow: an episode a file in v2.1, several a file in v3.0; with a video."""
    scalar = {"shape": [1], "names": None}
    features = {
        "observation.state": {"dtype": "float32", "shape": [3], "names": ["a", "b", "c"]},
        "observation.environment_state": {"dtype": "float64", "shape": [2, 1], "names": None},
        "observation.images.wrist": {"dtype": "video", "shape": [4, 4, 3], "names": None},
        "action": {"dtype": "float32", "shape": [3], "names": None},
        "next.reward": {"dtype": "float32", **scalar},
        "next.done": {"dtype": "bool", **scalar},
        "next.success": {"dtype": "bool", **scalar},
        "timestamp": {"dtype": "float32", **scalar},
        **{key: {"dtype": "int64", **scalar} for key in ("frame_index", "episode_index", "index", "task_index")},
    }
    info = {"codebase_version": version, "fps": 50, "features": features, "total_episodes": len(data)}
    info |= {"total_frames": sum(map(len, data)), "data_path": "../../{episode_index}"}
    (folder / "meta").mkdir(parents=True)
    (folder / "meta" / "info.json").write_text(json.dumps(info))
    tables = [
        pa.table(
            {
                "observation.state": list(e.observations[:-1, :3]),
                "observation.environment_state": [[[float(a)], [float(b)]] for a, b in e.observations[:-1, 3:]],
                "action": list(e.actions),
                "next.reward": e.rewards,
                "next.done": np.arange(len(e)) == len(e) - 1,
                "next.success": e.success,
                "timestamp": (np.arange(len(e)) * 0.02).astype(np.float32),
                "episode_index": np.full(len(e), i),
            }
        )
        for i, e in enumerate(data)
    ]
    (folder / "data" / "chunk-000").mkdir(parents=True)
    if version == "v2.1":
        for i, table in enumerate(tables):
            pq.write_table(table, folder / "data" / "chunk-000" / f"episode_{i:06d}.parquet")
    else:
        for k in range(0, len(tables), 2):
            part = pa.concat_tables(tables[k : k + 2])
            pq.write_table(part, folder / "data" / "chunk-000" / f"file-{k // 2:03d}.parquet")


def same_transitions(a: Segment, b: Segment, names: Sequence[str]) -> Mapping[str, bool]:
    """Which of these fields agree exactly."""
    return {name: bool(np.array_equal(getattr(a, name), getattr(b, name))) for name in names}
