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
OWN = {"ciou": "mean IoU", "loc_acc": "LocAcc"}  # figures with own sounds: heads of their columns
ALL = {"pia": "pIA", "f": "F", "ap": "AP", "max_f1": "max-F1", "same": "same as own"}
FIGURES = (*OWN, "fpr", *ALL, "maximum", "auc", "auc_pia", "f_auc", "ap_slavc", "g_miou")
COLUMNS = [
    *KEY, "run", "trained", "sound", "threshold", "threshold_from", "frames", "videos",
    *(f"{name}{end}" for name in FIGURES for end in ("", " low", " high")),
]  # fmt: skip
ABOUT = """One threshold holds for all maps of a system: three quarters of its maps of other clips
with such sounds are empty under it, unless scores.negative_threshold states one. Mean IoU and
LocAcc are those of the frames with their own sounds. A column with the name of a sound has the
share of frames with any foreground; the columns after it are means over these sounds. Low is right
for them, for pIA (foreground as a share of the image) and for "same as own" (IoU of the foregrounds
with the sound and with the own one: 1 if the sound is ignored). High is right for all others: F
joins mean IoU and 1 - pIA; AP and max-F1 count the frames with their own sounds as positive.
negatives.csv has all figures for each sound, and docs/protocols.md the sources."""


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
    """A section of a Markdown page with a table per test set and box source, a row per system."""
    if found.empty:
        return ""
    parts = ["## Silence, noise and off-screen sound\n", f"{ABOUT}\n"]
    for (testset, box_source), group in found.groupby(KEY, sort=False):
        frames, videos = group[["frames", "videos"]].iloc[0]
        parts.append(f"### {testset}, {box_source} boxes\n")
        counts = f"{frames} frames of {videos} videos"
        parts.append(f"{counts}; 95 % bootstrap over videos in brackets.\n")
        columns = _columns(group)
        lines = markdown.head(["threshold", *columns.values()])
        for _, system in group.groupby("run", sort=False):
            lines.append(_line(system, list(columns), digits))
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _columns(group: pd.DataFrame) -> dict[tuple[str, str], str]:
    """Sound and figure of each column of a table, with its head."""
    single = group[group["fpr"].notna() & (group["sound"] != "all")]
    heads = {("own", figure): head for figure, head in OWN.items()}
    heads |= {(sound, "fpr"): sound for sound in SOUNDS if sound in set(single["sound"])}
    return heads | {("all", figure): head for figure, head in ALL.items()}


def _line(system: pd.DataFrame, columns: list[tuple[str, str]], digits: int) -> str:
    """A system as a line of the table; trained runs are bold."""
    sounds = {row["sound"]: row for row in system.to_dict("records")}
    own = sounds["own"]
    name = f"**{own['run']}**" if own["trained"] else str(own["run"])
    cells = [markdown.cell(sounds[sound], figure, digits) for sound, figure in columns]
    return f"| {name} | {own['threshold']:.{digits}f} | {' | '.join(cells)} |"


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
