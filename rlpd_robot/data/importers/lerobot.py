"""LeRobotDataset v2.1 and v3: rows in parquet files below `data/`, told of in `meta/info.json`. Videos are left out.

Rewards and endings, where there are any, are `next.*`. `next.done` does not say why an episode ended; our own export
adds `next.terminated`, `next.truncated` and `next.observation.*`, so that nothing is lost. Where files lie is not taken
from templates in `info.json`: they could lead anywhere.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.data.importers.parquet import feature_size, read_batches
from rlpd_robot.data.importers.source import (
    MAX_EPISODE_BYTES,
    Notes,
    SourceEpisode,
    SourceOptions,
    choose_keys,
)
from rlpd_robot.errors import DataError, ImportSourceError
from rlpd_robot.types import Ending

_MAX_INFO = 1 << 24
_VERSIONS = re.compile(r"v2\.[01]|v3\.\d+")
_ROLES: Mapping[str, tuple[str, ...]] = {
    "rewards": ("next.reward", "reward"),
    "success": ("next.success", "success"),
    "terminated": ("next.terminated",),
    "truncated": ("next.truncated",),
    "done": ("next.done",),
    "stamps_s": ("stamp_s", "timestamp"),
    "intervened": ("intervened", "complementary_info.is_intervention"),
}
"""What a column may be called; the first that is there."""

_Rows = dict[str, NDArray[Any]]


class LerobotImporter:
    """Implements `source.Importer`, reading batches of rows."""

    format = "lerobot"

    def __init__(self, path: Path, options: SourceOptions) -> None:
        self.notes = Notes()
        self._path = path
        self._options = options

    def episodes(self) -> Iterator[SourceEpisode]:
        """As `source.Importer` says."""
        info = self._info()
        sizes = self._sizes(info["features"])
        observed = self._choose(sizes)
        self._look_at_rate(info.get("fps"))
        roles = {role: next((n for n in names if n in sizes), None) for role, names in _ROLES.items()}
        following = [f"next.{name}" for name in observed]
        wanted = {*observed, "action", "episode_index", *(n for n in roles.values() if n)}
        if all(sizes.get(f"next.{name}") == sizes[name] for name in observed):
            wanted |= set(following)
        episodes = rows = 0
        for index, columns in self._grouped({name: sizes[name] for name in sorted(wanted)}):
            episodes, rows = episodes + 1, rows + len(columns["action"])
            yield self._episode(f"episode {index}", columns, observed, following, roles)
        for key, found in (("total_episodes", episodes), ("total_frames", rows)):
            if info.get(key) != found:
                raise ImportSourceError(self._path, f"info.json tells of {info.get(key)} as {key}", f"the {found} read")

    def _info(self) -> dict[str, Any]:
        file = self._path / "meta" / "info.json"
        try:
            if file.stat().st_size > _MAX_INFO:
                raise ImportSourceError(file, "it is too large", f"at most {_MAX_INFO} bytes")
            info = json.loads(file.read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            words = " ".join(str(error).split())[:200]
            raise ImportSourceError(file, f"it cannot be read ({words})", "what LeRobot writes") from error
        if not (isinstance(info, dict) and isinstance(info.get("features"), dict)):
            raise ImportSourceError(file, "it tells of no features", "what LeRobot writes")
        version = info.get("codebase_version")
        if not (isinstance(version, str) and _VERSIONS.fullmatch(version)):
            raise ImportSourceError(file, f"its codebase_version is {str(version)[:40]!r}", "v2.0, v2.1 or v3.x")
        return info

    def _sizes(self, features: Mapping[str, Any]) -> dict[str, int]:
        """Numbers of a row of each column that holds numbers."""
        sizes, pictures = {}, []
        for name, feature in features.items():
            try:
                kind, shape = str(feature["dtype"]), [int(n) for n in feature["shape"]]
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                raise ImportSourceError(self._path, f"feature {name!r} is damaged", "dtype and shape") from error
            if kind in ("video", "image"):
                pictures.append(name)
            elif re.fullmatch(r"(float|u?int)\d+|bool", kind) and all(0 < n < 1 << 20 for n in shape):
                sizes[name] = feature_size(shape)
        self.notes.count(f"pictures not read: {', '.join(sorted(pictures))}", len(pictures))
        for name in ("action", "episode_index"):
            if name not in sizes:
                raise DataError(f"Source {str(self._path)!r}", f"it has no {name!r}", "it, for this format")
        return sizes

    def _choose(self, sizes: Mapping[str, int]) -> tuple[str, ...]:
        candidates = {name: size for name, size in sizes.items() if name.startswith("observation")}
        return choose_keys(self._path, self._options.observations, candidates)

    def _look_at_rate(self, fps: Any) -> None:
        period_s = self._options.period_s
        if isinstance(fps, int | float) and fps > 0 and period_s and abs(fps * period_s - 1) > 0.01:
            self.notes.count(f"rate of the source {fps:g} Hz, of the robot {1 / period_s:g} Hz: nothing was resampled")

    def _files(self) -> list[Path]:
        found = {tuple(map(int, re.findall(r"\d+", f"{p.parent.name}/{p.stem}"))): p for p in self._parts()}
        if not found:
            raise ImportSourceError(self._path, "it has no data/chunk-…/….parquet", "LeRobot's files")
        return [found[key] for key in sorted(found)]

    def _parts(self) -> Iterator[Path]:
        for file in (self._path / "data").glob("chunk-*/*.parquet"):
            if re.fullmatch(r"chunk-\d+/(file-|episode_)\d+", f"{file.parent.name}/{file.stem}"):
                yield file

    def _grouped(self, sizes: Mapping[str, int]) -> Iterator[tuple[int, _Rows]]:
        """Each episode's rows: those with the same `episode_index` after each other."""
        current, parts, size, seen = -1, list[_Rows](), 0, set[int]()
        for file in self._files():
            for batch in read_batches(file, sizes, [n for n in sizes if n.startswith("next.") or n == "intervened"]):
                index = batch["episode_index"][:, 0]
                if not (np.isfinite(index) & (index == np.trunc(index))).all():
                    raise ImportSourceError(file, "an 'episode_index' in it is no whole number", "one in each row")
                edges = [0, *(np.flatnonzero(index[1:] != index[:-1]) + 1).tolist(), len(index)]
                for start, stop in zip(edges, edges[1:], strict=False):
                    if start == stop:
                        continue
                    if index[start] != current:
                        if parts:
                            yield current, self._joined(current, parts)
                        current, parts, size = int(index[start]), [], 0
                        self._check_new(file, current, seen)
                    parts.append({name: values[start:stop] for name, values in batch.items()})
                    size += sum(part.nbytes for part in parts[-1].values())
                    if size > MAX_EPISODE_BYTES:
                        found = f"episode {current} takes more than {MAX_EPISODE_BYTES / 1e6:.0f} MB"
                        raise ImportSourceError(file, found, "less for one episode")
        if parts:
            yield current, self._joined(current, parts)

    def _check_new(self, file: Path, index: int, seen: set[int]) -> None:
        if index in seen:
            raise ImportSourceError(file, f"episode {index} has rows in several places", "all after each other")
        seen.add(index)

    def _joined(self, index: int, parts: list[_Rows]) -> _Rows:
        if any(set(part) != set(parts[0]) for part in parts):
            raise ImportSourceError(self._path, f"episode {index} has other columns in each file", "the same")
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _episode(
        self,
        name: str,
        columns: _Rows,
        observed: tuple[str, ...],
        following: list[str],
        roles: Mapping[str, str | None],
    ) -> SourceEpisode:
        def flat(role: str) -> NDArray[Any] | None:
            found = columns.get(roles[role] or "")
            if found is None:
                return None
            if found.shape[1] != 1:
                raise ImportSourceError(self._path, f"{name}, {roles[role]} has {found.shape[1]} numbers a row", "one")
            return found[:, 0]

        flags = {role: flat(role) for role in ("terminated", "truncated", "done")}
        for role, values in flags.items():
            if values is not None and values[:-1].any():
                raise ImportSourceError(self._path, f"{name}, {roles[role]} is set before the last step", "at the end")
        ended = {role: values is not None and bool(values[-1]) for role, values in flags.items()}
        ending: Ending = "terminated" if ended["terminated"] else "truncated" if ended["truncated"] else "unknown"
        self.notes.count(
            "episodes with next.done, which does not say why they ended", ended["done"] and ending == "unknown"
        )
        return SourceEpisode(
            name=name,
            observations=np.concatenate([columns[key] for key in observed], axis=1),
            actions=columns["action"],
            rewards=flat("rewards"),
            success=flat("success"),
            next_observations=np.concatenate([columns[key] for key in following], axis=1)
            if all(key in columns for key in following)
            else None,
            ending=ending,
            stamps_s=flat("stamps_s"),
            intervened=flat("intervened"),
        )
