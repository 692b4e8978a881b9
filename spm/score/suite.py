"""Score the maps of a system on named benchmark sets: what `spm benchmark` does.

The maps of all sets lie in one folder, as `<set>.npz` or in any other form of `map_files`, or as a
folder `<set>/`. A set whose frames have the keys of another set (`vgg-ss-heard`: `vgg-ss`) uses the
maps of that one if it has none of its own. Maps in one file, or in a folder of keys, serve every
set.
"""

import hashlib
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from spm.base.errors import UserError
from spm.base.file_digest import file_digest
from spm.base.version import VERSION
from spm.base.words import one_of
from spm.boxes import benchmarks
from spm.boxes.benchmark_sets import SETS, BenchmarkSet
from spm.boxes.formats.frames import BenchmarkBoxes
from spm.score import external_maps, map_files, mask_scores, protocols, score_rows
from spm.score.evaluation import Predictions
from spm.score.external_maps import Matched
from spm.score.map_arrays import ExternalMaps
from spm.score.protocols import Protocol
from spm.score.score_rows import ScoreRow

PACKAGES = ("numpy", "numba", "scipy", "pyarrow")
KEYS_LISTED = 5  # of missing frames, in the manifest


class Resampling(TypedDict):
    """How intervals are drawn."""

    resamples: int
    seed: int


class SuiteSettings(NamedTuple):
    """How the sets are scored."""

    extra: Sequence[Protocol] = ()  # protocols besides those under which papers report a set
    threshold: float | None = None  # of all maps, for frames in which nothing sounds
    resamples: int = 1000  # behind each interval
    seed: int = 0  # of the resampling
    # Maps of networks that are baselines, by the name of the set and its frames.
    networks: Callable[[str, Matched], Mapping[str, Predictions]] = lambda name, matched: {}

    @property
    def draws(self) -> Resampling:
        """The settings of the bootstrap."""
        return {"resamples": self.resamples, "seed": self.seed}


@dataclass(frozen=True)
class SetScores:
    """One set: its frames, those without a map, and the figures of the others."""

    name: str
    frames: int  # that have a box or mask, or in which nothing sounds
    missing: tuple[str, ...]  # keys of these frames that have no map
    maps: Path | None  # None: there are no maps of this set
    left_out: tuple[str, ...] = ()  # protocols that can't score these maps
    rows: list[ScoreRow] = field(default_factory=list)


def split_name(text: str) -> tuple[str, str]:
    """Name and local folder of `flickr=annotations/`; the folder may be empty.

    Raises
    ------
    UserError
        If no set has this name.
    """
    name, _, folder = text.partition("=")
    if name not in SETS:
        raise UserError(f"{name}: no such set; {one_of(name, SETS)}")
    return name, folder


def find_maps(maps: Path, name: str) -> Path | None:
    """The maps of a set below `maps`; None if there are none.

    Raises
    ------
    UserError
        If there is no such file or folder, or two files have the maps of one set.
    """
    if not maps.exists():
        raise UserError(f"{maps}: no such file or folder of maps")
    if maps.is_dir() and not any(maps.iterdir()):
        raise UserError(f"{maps}: an empty folder; expected maps, such as vgg-ss.npz")
    found = _by_set(maps) if maps.is_dir() else {}
    if not found:
        return maps
    for candidate in (name, SETS[name].maps_of):
        if len(paths := found.get(candidate, [])) > 1:
            raise UserError(f"{paths[0]} and {paths[1]} are both maps of {candidate}; keep one")
        if paths:
            return paths[0]
    return None


def _by_set(maps: Path) -> dict[str, list[Path]]:
    """Files and folders that are named by a set."""
    found: dict[str, list[Path]] = {}
    for path in sorted(maps.iterdir()):
        name = path.name if path.is_dir() else path.stem
        if name in SETS and (path.is_dir() or path.suffix.lower() in map_files.READERS):
            found.setdefault(name, []).append(path)
    return found


def default_names(maps: Path) -> list[str]:
    """The sets without a local folder whose maps are below `maps`."""
    return [name for name in SETS if not SETS[name].folder and find_maps(maps, name)]


def score(maps: Path, names: Sequence[str], settings: SuiteSettings) -> Iterator[SetScores]:
    """Score the maps on each set.

    Parameters
    ----------
    maps : Path
        A folder with the maps of each set, or maps for all sets.
    names : sequence of str
        Names of sets; `NAME=FOLDER` for a set that needs a local folder.
    settings : SuiteSettings

    Raises
    ------
    UserError
        If a name is unknown, a set needs a folder, or a file can't be read.
    """
    read_maps: Callable[[Path], ExternalMaps] = cache(map_files.read)
    places = {text: find_maps(maps, split_name(text)[0]) for text in names}
    for text, path in places.items():
        name, benchmark = split_name(text)[0], benchmarks.read(text)
        wanted = tuple(_wanted(benchmark))
        stored = read_maps(path) if path else None
        if stored is None or not external_maps.matches(stored, benchmark):
            yield SetScores(name, len(wanted), wanted, None)
            continue
        matched = external_maps.match_to_truth(stored, benchmark, partial=True)
        chosen, left_out = _chosen(SETS[name], settings.extra, matched)
        rows = list(_rows(name, matched, chosen, settings))
        yield SetScores(name, len(wanted), matched.missing, path, left_out, rows)


def _wanted(benchmark: BenchmarkBoxes) -> Iterator[str]:
    """Keys of the frames that need a map."""
    return (key for key, frame in benchmark.frames.items() if frame.boxes or benchmark.silent)


def _chosen(
    benchmark_set: BenchmarkSet, extra: Sequence[Protocol], matched: Matched
) -> tuple[list[Protocol], tuple[str, ...]]:
    """The protocols that can score the maps, and the names of the others."""
    named = {name: protocols.find(name) for name in benchmark_set.protocols}
    named |= {protocol.name: protocol for protocol in extra}
    has_frames = matched.predictions.frame_maps is not None
    chosen = [each for each in named.values() if has_frames or each.class_aware]
    return chosen, tuple(name for name, each in named.items() if each not in chosen)


def _rows(
    name: str,
    matched: Matched,
    chosen: Sequence[Protocol],
    settings: SuiteSettings,
) -> Iterator[ScoreRow]:
    draws = settings.draws
    if any(matched.truth.boxes.values()):
        networks = settings.networks(name, matched)
        for table in score_rows.scores(matched, chosen, **draws, networks=networks):
            yield from table
    if matched.predictions.frame_maps is None:
        return
    if matched.truth.masks:
        for table in score_rows.of_masks(matched, **draws):
            yield from table
    if matched.silent:
        for table in score_rows.of_silent_frames(matched, settings.threshold, **draws):
            yield from table
    if SETS[name].pairs:
        yield from score_rows.of_pairs(matched, **draws)


def manifest(
    results: Sequence[SetScores], names: Sequence[str], settings: SuiteSettings
) -> dict[str, Any]:
    """What was scored, with digests and parameters: equal manifests mean equal figures."""
    folders = dict(map(split_name, names))
    digests = {each.maps: digest(each.maps) for each in results if each.maps}
    return {
        "sets": {each.name: _about(each, folders[each.name], digests) for each in results},
        "protocols": _parameters(results, settings.extra),
        "threshold": settings.threshold,
        "bootstrap": settings.draws,
        "versions": {
            "spm": VERSION,
            "python": platform.python_version(),
            **{name: version(name) for name in PACKAGES},
        },
    }


def _about(result: SetScores, folder: str, digests: dict[Path, str]) -> dict[str, Any]:
    files = [source._asdict() for source in SETS[result.name].files]
    local = {"folder_sha256": digest(Path(folder))} if folder else {}
    maps = {"name": result.maps.name, "sha256": digests[result.maps]} if result.maps else None
    return {
        "boxes": files,
        **local,
        "maps": maps,
        "frames": result.frames,
        "missing": len(result.missing),
        "first_missing": list(result.missing[:KEYS_LISTED]),
        "left_out_protocols": list(result.left_out),
    }


def _parameters(results: Sequence[SetScores], extra: Sequence[Protocol]) -> dict[str, Any]:
    """The parameters of every protocol that was used."""
    named: dict[str, Any] = {protocol.name: asdict(protocol) for protocol in extra}
    for result in results:
        for name in SETS[result.name].protocols:
            named[name] = asdict(protocols.find(name))
        if any(row.protocol in mask_scores.SOURCES for row in result.rows):
            named |= {name: {"source": text} for name, text in mask_scores.SOURCES.items()}
    return named


def digest(path: Path) -> str:
    """The sha256 of a file, or of the names and digests of the files of a folder."""
    if path.is_file():
        return file_digest(path)
    names = hashlib.sha256()
    for file in sorted(each for each in path.rglob("*") if each.is_file()):
        names.update(f"{file.relative_to(path).as_posix()}\0{digest(file)}\n".encode())
    return names.hexdigest()
