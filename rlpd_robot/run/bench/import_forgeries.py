"""Sources that their format's own library writes and reads gladly, and that hold what no demonstration does: by a seed.

Flipped bits rarely get past a checksum or a compressed chunk; someone who makes a file on purpose does.
"""

import random
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from rlpd_robot.run.bench.import_samples import dapg_objects, few_episodes, serl_objects, write_pickle
from rlpd_robot.types import Segment

Forge = Callable[[random.Random, Path, Path], str]
"""(rng, source, a path outside it) → what was done to the source."""

_KINDS = ("S3", "c16", "f2", "u1", "i8", ">f8", "?", "V8", "f8")
_WORDS: Sequence[Any] = (None, True, "x", [], {}, -1, 1e300, float("nan"), [[0.0], [0.0, 1.0]], b"", (1, 2), [{}])


def _absurd(rng: random.Random, values: NDArray[Any]) -> NDArray[Any]:
    """An array in the place of `values`: another shape, type or content."""
    whole = values if values.ndim else values[None]
    choices: tuple[Callable[[], NDArray[Any]], ...] = (
        lambda: whole[:-1],
        lambda: whole[:0],
        lambda: whole[:1],
        lambda: np.concatenate([whole, whole]),
        lambda: whole[None],
        lambda: whole[..., None],
        lambda: np.ascontiguousarray(whole.T),
        lambda: whole.reshape(-1),
        lambda: whole[..., :0],
        lambda: np.zeros((), whole.dtype),
        lambda: np.zeros(whole.shape, rng.choice(_KINDS)),
        lambda: np.full(whole.shape, rng.choice((np.nan, np.inf, 1e300, -1e39, 1e-320)), np.float64),
        lambda: (whole.astype(np.float64) * rng.choice((1e6, -1e30, 0.0))).astype(np.float64),
        lambda: np.where(np.arange(whole.size).reshape(whole.shape) == rng.randrange(whole.size + 1), np.nan, whole),
        lambda: np.full(whole.shape, rng.choice((-(2**63), 2**63 - 1, -1)), np.int64),
        lambda: np.ones(whole.shape, np.bool_),
    )
    with np.errstate(all="ignore"):
        return rng.choice(choices)()


def forge_hdf5(rng: random.Random, source: Path, outside: Path) -> str:
    """One of its arrays is another, or no array."""
    with h5py.File(source / "data" / "main_data.hdf5" if source.is_dir() else source, "r+") as file:
        names: list[str] = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        name = rng.choice(sorted(n for n in names if not n.endswith("dones")))  # those no importer looks at
        change = rng.choice(_HDF5)
        change(rng, file, name, outside)
    return f"{change.__name__.strip('_')} {name}"


def _other_array(rng: random.Random, file: Any, name: str, outside: Path) -> None:
    values = _absurd(rng, file[name][()])
    packed = {"chunks": True, "compression": rng.choice(("gzip", "lzf"))} if values.ndim and values.size else {}
    del file[name]
    file.create_dataset(name, data=values, **(packed if rng.random() < 0.5 else {}))


def _texts(rng: random.Random, file: Any, name: str, outside: Path) -> None:
    length = len(file[name])
    del file[name]
    file.create_dataset(name, data=["0.5"] * length, dtype=h5py.string_dtype())


def _no_array(rng: random.Random, file: Any, name: str, outside: Path) -> None:
    del file[name]
    if rng.random() < 0.5:
        file.create_group(name)


def _loop(rng: random.Random, file: Any, name: str, outside: Path) -> None:
    del file[name]
    file[name] = file["/"]


def _soft_link(rng: random.Random, file: Any, name: str, outside: Path) -> None:
    del file[name]
    file[name] = h5py.SoftLink(rng.choice(("/", f"/{name}", "/nothing")))


def _link_out_of_hdf5(rng: random.Random, file: Any, name: str, outside: Path) -> None:
    """In one of the three ways that HDF5 has, to values that would do."""
    values = file[name][()]
    del file[name]
    kind = rng.choice(("link", "external", "virtual"))
    if kind == "external":
        outside.write_bytes(values.tobytes())
        file.create_dataset(name, values.shape, values.dtype, external=[(str(outside), 0, values.nbytes)])
        return
    with h5py.File(outside, "w") as other:
        other["values"] = values
    if kind == "link":
        file[name] = h5py.ExternalLink(str(outside), "/values")
        return
    layout = h5py.VirtualLayout(values.shape, values.dtype)
    layout[:] = h5py.VirtualSource(str(outside), "values", values.shape)
    file.create_virtual_dataset(name, layout)


def _hdf5_bomb(rng: random.Random, file: Any, name: str, outside: Path) -> None:
    """Chunks of zeros that take a thousandth of what they unpack to; or none at all, of petabytes."""
    row = file[name].shape[1:]
    dtype = file[name].dtype
    del file[name]
    rows = max(1, (1 << 21) // max(1, int(np.prod(row)) * dtype.itemsize))
    count = rng.choice((4, 200))
    if rng.random() < 0.3:
        file.create_dataset(name, (1 << 40, *row), dtype, chunks=(rows, *row))
        return
    array = file.create_dataset(name, (rows * count, *row), dtype, chunks=(rows, *row), compression="gzip")
    array[:rows] = 0
    packed = array.id.read_direct_chunk((0,) * array.ndim)[1]
    for k in range(1, count):
        array.id.write_direct_chunk((rows * k, *(0 for _ in row)), packed)


_HDF5 = (
    _other_array, _other_array, _other_array, _texts, _no_array, _loop, _soft_link, _link_out_of_hdf5, _hdf5_bomb
)  # fmt: skip


def _forge_pickle(objects: Callable[[Iterable[Segment]], Iterator[Any]]) -> Forge:
    def forge(rng: random.Random, source: Path, outside: Path) -> str:
        items: list[Any] = list(objects(few_episodes()))
        index = rng.randrange(len(items))
        key = rng.choice(sorted(items[index]))
        kind = rng.choice(("array", "array", "word", "key", "item", "infos"))
        if kind == "array":
            items[index][key] = _absurd(rng, np.asarray(items[index][key]))
        elif kind == "word":
            items[index][key] = rng.choice(_WORDS)
        elif kind == "key":
            del items[index][key]
        elif kind == "item":
            items[index] = rng.choice(_WORDS)
        else:
            items[index]["infos"] = {"intervene_action": rng.choice((*_WORDS, items[index]["actions"]))}
        write_pickle(source, items if rng.random() < 0.95 else [items])
        return f"{kind} {index} {key}"

    return forge


def forge_lerobot(rng: random.Random, source: Path, outside: Path) -> str:
    """One of the columns of its table is another, or absent."""
    import pyarrow
    from pyarrow import parquet

    file = next(source.glob("data/chunk-*/*.parquet"))
    table = parquet.read_table(file)
    index = rng.randrange(table.num_columns)
    name = table.column_names[index]
    rows = table.column(index).to_pylist()
    columns: tuple[Callable[[], Any], ...] = (
        lambda: pyarrow.array([None if i == 3 else v for i, v in enumerate(rows)]),
        lambda: pyarrow.array([str(v) for v in rows]),
        lambda: pyarrow.array([[v] for v in rows]),
        lambda: pyarrow.array([[v, v] for v in rows]),
        lambda: pyarrow.array([[0.0] * (i % 3) for i in range(len(rows))]),
        lambda: pyarrow.array([{"x": 1.0}] * len(rows)),
        lambda: pyarrow.array([0.5] * len(rows)).dictionary_encode(),
        lambda: pyarrow.array([float("nan")] * len(rows)),
        lambda: pyarrow.array([2**62] * len(rows)),
        lambda: pyarrow.array([True] * len(rows)),
        lambda: pyarrow.array(np.zeros(len(rows), np.float16)),
        lambda: pyarrow.array([None] * len(rows)),
        lambda: pyarrow.array([i // 2 for i in range(len(rows))], pyarrow.timestamp("us")),
    )
    choice = rng.randrange(len(columns) + 2)
    if choice < len(columns):
        table = table.set_column(index, name, columns[choice]())
    elif choice == len(columns):
        table = table.append_column(rng.choice(table.column_names), table.column(index))
    else:  # a column of one number takes nothing, however long it is
        table = table.take(pyarrow.array(np.zeros(rng.choice((1 << 8, 1 << 12)), np.int64)))
    packing = rng.choice(("snappy", "gzip", "zstd", "none"))
    parquet.write_table(
        table, file, compression=packing, row_group_size=rng.choice((5 if table.num_rows < 100 else 1 << 10, 1 << 20))
    )
    return f"column {name} {choice}"


def forge_zip(rng: random.Random, source: Path, outside: Path) -> str:
    """Its members lead out, are packed otherwise, are there twice, or unpack to more than they tell."""
    plain = source.with_name("plain.zip")
    shutil.move(source, plain)
    kind = rng.choice(("packed", "twice", "outward", "absolute", "bomb", "encrypted"))
    with zipfile.ZipFile(plain) as old:
        members = {name: old.read(name) for name in old.namelist()}
    plain.unlink()
    which = rng.choice(sorted(members))
    method = rng.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    with zipfile.ZipFile(source, "w", method if kind == "packed" else zipfile.ZIP_STORED) as new:
        for name, data in members.items():
            if name != which or kind in ("packed", "twice", "encrypted"):
                new.writestr(name, data)
            elif kind == "bomb":
                new.writestr(name, bytes(1 << 24), zipfile.ZIP_DEFLATED, 9)
            else:
                new.writestr(f"../../{name}" if kind == "outward" else f"/{name}", data)
        if kind == "twice":
            new.filelist.append(new.filelist[0])
    _claim(source, kind, len(members[which]))
    return f"{kind} {which}"


def _claim(source: Path, kind: str, size: int) -> None:
    """What the members say of themselves is not so."""
    data = source.read_bytes()
    if kind == "bomb":
        data = data.replace((1 << 24).to_bytes(4, "little"), size.to_bytes(4, "little"))
    if kind == "encrypted":
        data = data.replace(b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00")
    source.write_bytes(data)


FORGE: Mapping[str, Forge] = {
    "dapg": _forge_pickle(dapg_objects),
    "serl": _forge_pickle(serl_objects),
    "d4rl": forge_hdf5,
    "minari": forge_hdf5,
    "robomimic": forge_hdf5,
    "umi_zip": forge_zip,
    "lerobot": forge_lerobot,
}
"""By name of the sample; for the others `import_mutations` reaches the numbers themselves, which are text or plain."""
