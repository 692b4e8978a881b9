"""Memory and time of scoring many maps of a file.

python -m benchmarks.map_memory [--maps 100000] [--side 14] [--form npz] [--folder FOLDER]
    [--protocols ez-vsl]

Random maps of --side × --side values, two frames per video, a random box each, in half precision
(.npy) or single precision (.npz, .parquet), are written to a temporary folder (in --folder). They
are scored with all baselines and 95 % intervals, as by `spm score`. The folder needs the room of
the maps.

Printed: how the maps were held, the peak memory of the process, and the CPU time. Target: 2 GB for
100,000 maps.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from spm.boxes.formats.frames import BenchmarkBoxes, Box, Frame
from spm.score import external_maps, map_files, protocols, score_rows

CHUNK = 500  # maps that are made at once


def keys_of(count: int) -> list[str]:
    """Two frames per video."""
    return [f"v{number // 2}/{number % 2}" for number in range(count)]


def made(count: int, side: int) -> np.ndarray:
    """Random maps (count, side, side)."""
    return np.random.default_rng(count).random((count, side, side), np.float32)


def write(folder: Path, form: str, count: int, side: int) -> Path:
    """Write the maps; only those of .npy are never in memory together."""
    path, keys = folder / f"maps.{form}", keys_of(count)
    if form == "npz":
        np.savez(path, keys=keys, maps=made(count, side))
    elif form == "parquet":
        with pq.ParquetWriter(path, _schema()) as file:
            for start in range(0, count, CHUNK):
                part = keys[start : start + CHUNK]
                cells = list(made(len(part), side).reshape(len(part), -1))
                sizes = {"height": [side] * len(part), "width": [side] * len(part)}
                file.write_table(pa.table({"key": part, **sizes, "map": cells}, _schema()))
    else:
        path.with_suffix(".keys.txt").write_text("\n".join(keys))
        head = {"descr": "<f2", "fortran_order": False, "shape": (count, side, side)}
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, head)
            for start in range(0, count, CHUNK):
                part = made(min(CHUNK, count - start), side)
                file.write(part.astype(np.float16).tobytes())
    return path


def _schema() -> pa.Schema:
    sizes = {"height": pa.int32(), "width": pa.int32()}
    return pa.schema({"key": pa.string(), **sizes, "map": pa.list_(pa.float32())})


def boxes(count: int) -> BenchmarkBoxes:
    """A random box per frame."""
    sides = np.random.default_rng(0).uniform(0.1, 0.5, (count, 4)).tolist()
    return BenchmarkBoxes(
        {
            key: Frame((Box("cello", tuple(box)),), key.partition("/")[0])
            for key, box in zip(keys_of(count), sides, strict=True)
        }
    )


def main() -> None:
    """Write maps, score them, and print memory and time."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--maps", type=int, default=100_000)
    parser.add_argument("--side", type=int, default=14)
    parser.add_argument("--form", choices=["npz", "npy", "parquet"], default="npz")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--protocols", nargs="+", default=["ez-vsl"])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        path = write(Path(folder), given.form, given.maps, given.side)
        start_s = time.process_time()
        stored = map_files.read(path)
        matched = external_maps.match_to_truth(stored, boxes(given.maps))
        chosen = [protocols.find(name) for name in given.protocols]
        list(score_rows.scores(matched, chosen, resamples=1000, seed=0))
        used_s = time.process_time() - start_s
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{given.maps} maps of {given.side} x {given.side} as {type(stored.maps).__name__}: peak"
        f" memory {peak_mb:.0f} MB (target: 2000), {used_s:.1f} s of CPU time"
    )


if __name__ == "__main__":
    main()
