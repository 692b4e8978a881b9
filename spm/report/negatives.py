"""What the runs do on silence, noise and off-screen sound: a table, and a sentence per run."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from spm.base.statuses import PlayedSound
from spm.report import markdown, summaries, verdict
from spm.report.summaries import SummaryKey, summary_key

KEY = ["testset", "box_source"]
SOUNDS = [*(sound.value for sound in PlayedSound), "all"]  # in the order of the table
FIGURES = {  # figure of a summary: head of its column
    "ciou": "mean IoU",
    "loc_acc": "LocAcc",
    "fpr": "frames with foreground",
    "pia": "pIA",
    "f": "F",
    "ap": "AP",
    "max_f1": "max-F1",
    "same": "same as own",
    "maximum": "maximum",
}
FURTHER = ("auc", "auc_pia", "f_auc", "ap_slavc", "g_miou")  # in the CSV only
COLUMNS = [
    *KEY, "run", "trained", "sound", "threshold", "threshold_from", "frames", "videos",
    *(f"{name}{end}" for name in (*FIGURES, *FURTHER) for end in ("", " low", " high")),
]  # fmt: skip
ABOUT = """One threshold holds for all maps of a system: three quarters of its maps of other clips
with such sounds are empty under it, unless scores.negative_threshold states one. Low is right for
frames with foreground, pIA (foreground as a share of the image) and "same as own" (IoU of the
foregrounds with this and with the own sound: 1 if the sound is ignored). High is right for all
others: F joins mean IoU and 1 - pIA; AP and max-F1 count the frames with their own sounds as
positive. docs/protocols.md has the sources."""


def rows(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """A row per system, test set, box source and sound; each baseline once."""
    written = set()
    for path in verdict.first_of_each(paths, box_sources=True):
        key, found = summary_key(path), summaries.read(path)["negatives"]
        if not found:
            continue
        systems = {key.run: found["run"]} | found["baselines"]
        for name, system in systems.items():
            place = (key.testset, key.box_source, name)
            if place not in written:
                written.add(place)
                yield from _system_rows(key, name, name == key.run, system)


def _system_rows(
    key: SummaryKey, name: str, trained: bool, system: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    about = {"testset": key.testset, "box_source": key.box_source, "run": name, "trained": trained}
    about |= {each: system[each] for each in ("threshold", "threshold_from", "frames", "videos")}
    for sound in filter(system["sounds"].__contains__, SOUNDS):
        figures, row = system["sounds"][sound], {**about, "sound": sound}
        for figure, bounds in figures["interval_95"].items():
            low, high = bounds or (None, None)
            row |= {figure: figures[figure], f"{figure} low": low, f"{figure} high": high}
        yield row


def table(paths: Iterable[Path]) -> pd.DataFrame:
    """All rows, with the columns of the CSV."""
    return pd.DataFrame(list(rows(paths)), columns=COLUMNS)


def tables_markdown(found: pd.DataFrame, digits: int) -> str:
    """A section of a Markdown page with a table per test set and box source; empty without rows."""
    if found.empty:
        return ""
    parts = ["## Silence, noise and off-screen sound\n", f"{ABOUT}\n"]
    for (testset, box_source), group in found.groupby(KEY, sort=False):
        frames, videos = group[["frames", "videos"]].iloc[0]
        parts.append(f"### {testset}, {box_source} boxes\n")
        counts = f"{frames} frames of {videos} videos"
        parts.append(f"{counts}; 95 % bootstrap over videos in brackets.\n")
        lines = markdown.head(["threshold", *FIGURES.values()])
        for row in group.to_dict("records"):
            lines.append(_line(row, digits))
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _line(row: Mapping[Any, Any], digits: int) -> str:
    """A system with one sound as a line of the table; trained runs are bold."""
    name = f"**{row['run']}**" if row["trained"] else str(row["run"])
    cells = [markdown.cell(row, figure, digits) for figure in FIGURES]
    return f"| {name}: {row['sound']} | {row['threshold']:.{digits}f} | {' | '.join(cells)} |"


def sentences(paths: Iterable[Path]) -> list[str]:
    """One sentence per run and test set, of the first box source."""
    found = []
    for path in verdict.first_of_each(paths):
        key, figures = summary_key(path), summaries.read(path)["negatives"]
        if figures and "all" in figures["run"]["sounds"]:
            found.append(sentence(key, figures["run"]["sounds"], figures["run"]["threshold"]))
    return found


def sentence(key: SummaryKey, sounds: Mapping[str, Any], threshold: float) -> str:
    """How often a run finds something where nothing that is seen sounds.

    Examples
    --------
    >>> key = SummaryKey("spm", "solo", "given", "spm-paper")
    >>> sounds = {"own": {"ciou": 0.4}, "silence": {"fpr": 0.25}, "all": {"f": 0.5}}
    >>> sentence(key, sounds, 0.6)[:51]
    'solo: `spm` finds a source in 25 % of frames with s'
    """
    shares = []
    for name in PlayedSound:
        if "fpr" in sounds.get(name, {}):
            shares.append(f"{100 * sounds[name]['fpr']:.0f} % of frames with {_words(name)}")
    return (
        f"{key.testset}: `{key.run}` finds a source in {verdict.listed(shares)}; mean IoU"
        f" {sounds['own']['ciou']:.2f} with their own sounds, F {sounds['all']['f']:.2f} (threshold"
        f" {threshold:.2f})."
    )


def _words(sound: str) -> str:
    return f"{sound} sound" if sound == "off-screen" else sound.replace("-", " ")
