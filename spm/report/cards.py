"""Cards: a description of the data set with its Croissant metadata, and one of each network.

python -m spm.report.cards --config '{}' --index clips.parquet --coverage coverage.csv
    --ledgers 0000.parquet … --videos 0000.parquet … --names index clips … --scores scores.csv
    --networks train/spm/network.json … --out README.md --croissant-file croissant.json

Cards are Markdown in Hugging Face's format, with YAML first: the `README.md` of the folder that
they describe. All numbers in them are measured.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from pydantic import Field

from spm.base import csv_file, json_file, runs, schemas, stage, tables
from spm.base.config import Section, Text
from spm.base.statuses import FetchStatus, Split
from spm.report.coverage import read_coverage
from spm.report.croissant import CITATION, croissant
from spm.report.summaries import KEY
from spm.report.tables import markdown

DIGITS = 3
OTHER_LICENSE = (
    "Pictures and sound are excerpts of videos whose rights belong to their uploaders; these"
    " tables give no right to them. The results of the workflow (boxes, labels, maps, scores)"
    " belong to the person who ran it."
)
ONE_LICENSE = "All files here, pictures and sound included, are under this license:"
DATASET = """\
# {name}

{available} of {listed} listed videos are available. They have {clips} clips of 1 s, of which
{audible} are audible. Made by spm, a workflow that trains and scores networks for sound
localization in videos.

## How to read it

    from datasets import load_dataset
    clips = load_dataset("results", "index", split="train")

docs/data.md of spm shows the same with pandas and DuckDB. docs/tables.md and `croissant.json`
describe the columns.

## Tables

{tables}

## Coverage

Videos (listed, available) and clips (all, audible) per kind, categories and split:

{coverage}

Status of the videos after fetching and after decoding:

{statuses}

## Licenses

{licenses} Sources of the media:

{sources}

## Limits

Splits follow positions in the published list: a test video that is missing is missing from the
test set. Categories come from the list and hold for a whole video: nobody has checked that a
category can be heard and seen in each clip.

## Citation

{citation}.
"""
LIMITS = """\
The network has learned the sounds and the appearance of its training videos only. A map shows
where a sound would come from, not whether there is one: some region is hot even if no object in
the picture makes a sound."""
LIMITS_OF_METHOD = {
    "zero_shot": """\
The network has learned nothing from these videos. It hears AudioSet's classes and sees ImageNet's;
of people and other things without a class of ImageNet, it shows the most prominent object. The
maximum of a map says how surely something is heard that the picture shows.""",
    "object_prior": """\
The network has learned nothing from these videos, and it does not hear: its map is the same for
every sound.""",
}
MODEL = """\
# {run}: a network for sound localization in videos

Method `{method}`, {training}.
Input: a picture of {crop} × {crop} px and the second of sound around it. Output: a heat map in
[0, 1] of the source of the sound.

    from spm import localize
    localization = localize.video("concert.mp4", "network.safetensors")
    print(localization.seconds())

## Scores

Measured, with baselines on the same frames: trivial ones, and networks that were not trained here.

{scores}
## Limits

{limits}

## Settings

```yaml
{settings}```

## Citation

{citation}.
"""


class Cards(Section):
    """The card of the data set (results/README.md, croissant.json) and those of the networks."""

    name: Text = Field(
        "Seconds of video, and where their sound comes from",
        description="Name of the data set.",
    )
    license: Text = Field(
        "other",
        description="License of the media, by Hugging Face's names (apache-2.0, cc-by-4.0, …);"
        " `other` means that each video belongs to its uploader.",
    )
    url: Text | None = Field(
        None, description="Address of the published data set, if there is one."
    )


def with_front_matter(about: Mapping[str, Any], text: str) -> str:
    """A card: its YAML, then its Markdown."""
    return f"---\n{yaml.safe_dump(dict(about), sort_keys=False, allow_unicode=True)}---\n\n{text}"


def markdown_table(frame: pd.DataFrame) -> str:
    """A table as Markdown."""
    rows = [list(frame.columns), ["---"] * len(frame.columns), *frame.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)


def size_category(rows: int) -> str:
    """Hugging Face's name for a size.

    >>> [size_category(n) for n in (999, 1000, 123456)]
    ['n<1K', '1K<n<10K', '100K<n<1M']
    """
    names = ["1K", "10K", "100K", "1M", "10M", "100M"]
    below = next((n for n in range(len(names)) if rows < 1000 * 10**n), len(names) - 1)
    return f"{names[below - 1]}<n<{names[below]}" if below else "n<1K"


def dataset_card(
    config: Cards,
    present: Sequence[schemas.Table],
    coverage: pd.DataFrame,
    ledgers: pd.DataFrame,
    videos: pd.DataFrame,
) -> str:
    """The card of the data set.

    Parameters
    ----------
    config : Cards
        Name and license.
    present : sequence of Table
        The tables in the data set.
    coverage : DataFrame
        Videos and clips by kind, categories and split, as the stage index counts them.
    ledgers, videos : DataFrame
        A row per video: its status after fetching, and after decoding.
    """
    configs = [{"config_name": table.name, "data_files": table.files} for table in present]
    about = {
        "pretty_name": config.name,
        "license": config.license,
        "tags": ["audio-visual", "sound-source-localization", "music"],
        "size_categories": [size_category(int(coverage["clips"].sum()))],
        "configs": configs,
    }
    listed = [(f"`{table.name}`", f"`{table.files}`", table.description) for table in present]
    counts = coverage[["listed", "available", "clips", "audible"]].sum()
    other = config.license == "other"
    text = DATASET.format(
        **counts,
        name=config.name,
        tables=markdown_table(pd.DataFrame(listed, columns=["name", "files", "row"])),
        coverage=markdown_table(coverage),
        statuses=markdown_table(count_statuses(ledgers, videos)),
        licenses=OTHER_LICENSE if other else f"{ONE_LICENSE} {config.license}.",
        sources=markdown_table(count_sources(ledgers)),
        citation=CITATION,
    )
    return with_front_matter(about, text)


def count_statuses(ledgers: pd.DataFrame, videos: pd.DataFrame) -> pd.DataFrame:
    """Count videos by status, after fetching and after decoding."""
    counts = []
    for step, table in (("fetched", ledgers), ("decoded", videos)):
        for status, count in sorted(table["status"].value_counts().items()):
            counts.append((step, status, count))
    return pd.DataFrame(counts, columns=["", "status", "videos"])


def count_sources(ledgers: pd.DataFrame) -> pd.DataFrame:
    """Count available videos and their bytes by extractor."""
    available = ledgers[ledgers["status"] == FetchStatus.OK]
    groups = available.groupby("extractor")
    return groups.agg(videos=("video_id", "size"), bytes=("bytes", "sum")).reset_index()


def model_card(
    run: str, about: Mapping[str, Any], index: pd.DataFrame, scores: pd.DataFrame
) -> str:
    """The card of a network.

    Parameters
    ----------
    run : str
        Name of the run.
    about : mapping
        The JSON beside the weights: config, categories.
    index : DataFrame
        A row per clip.
    scores : DataFrame
        The score table of all runs, with the baselines.
    """
    config = about["config"]
    trained, own_run = scores["trained"].astype(bool), scores["run"] == run
    own = scores[own_run & trained]
    front_matter = {
        "library_name": "spm",
        "tags": ["sound-source-localization", "audio-visual"],
        "model-index": [{"name": run, "results": list(model_index(own))}],
    }
    if len(own):
        shown = markdown(scores[own_run | ~trained], DIGITS).replace("## ", "### ")
    else:
        shown = "No scores: there are no boxes to compare with.\n"
    text = MODEL.format(
        run=run,
        method=config["method"],
        crop=config["crop"],
        training=origin(index, about),
        limits=LIMITS_OF_METHOD.get(config["method"], LIMITS),
        scores=shown,
        settings=yaml.safe_dump(dict(config), sort_keys=True),
        citation=CITATION,
    )
    return with_front_matter(front_matter, text)


def origin(index: pd.DataFrame, about: Mapping[str, Any]) -> str:
    """What a run has learned from."""
    config = about["config"]
    if config["method"] in runs.UNTRAINED:
        return "which uses pretrained networks as they are"
    return f"trained on {training_data(index, config['kinds'])}{audio_origin(about)}"


def training_data(index: pd.DataFrame, kinds: Sequence[str]) -> str:
    """The number of audible training clips of the kinds that a run is trained on."""
    clips = index[(index["split"] == Split.TRAIN) & index["audible"]]
    parts = []
    for kind in kinds:
        own = clips[clips["kind"] == kind]
        if len(own):
            parts.append(f"{len(own)} seconds of {own['video_id'].nunique()} {kind} videos")
    return " and ".join(parts)


def audio_origin(about: Mapping[str, Any]) -> str:
    """What the audio network or its pseudo-labels know from labels of others, if anything."""
    origin = about.get("pretrained_audio")
    return f". Pretrained audio: {origin}" if origin else ""


def model_index(rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Scores in the format of Hugging Face's model index."""
    for row in rows.to_dict("records"):
        counts = f"{row['frames']} frames of {row['videos']} videos"
        dataset = f"{row['testset']}, {row['box_source']} boxes: {counts}"
        metrics = []
        for name, value in row.items():
            if f"{name} low" in row and not pd.isna(value):  # scores are the columns with intervals
                title = f"{name}, protocol {row['protocol']}"
                metrics.append({"type": str(name), "name": title, "value": float(value)})
        yield {
            "task": {"type": "sound-source-localization"},
            "dataset": {"name": dataset, "type": "spm"},
            "metrics": metrics,
        }


def _read(paths: Iterable[Path], columns: list[str]) -> pd.DataFrame:
    """Read columns of tables into a DataFrame."""
    return tables.read(list(paths), columns).to_pandas()  # type: ignore[no-any-return]


def run(
    config: Cards,
    *,
    index: Path,
    coverage: Path,
    ledgers: list[Path],
    videos: list[Path],
    names: list[str],
    scores: Path,
    networks: list[Path],
    out: Path,
    croissant_file: Path,
) -> None:
    """Write the data set's card and metadata, and a card beside each network."""
    present = [table for table in schemas.TABLES if table.name in names]
    fetched = _read(ledgers, ["video_id", "status", "bytes", "extractor"])
    decoded = _read(videos, ["status"])
    metadata = croissant(config.name, config.license, config.url, present)
    counts = read_coverage(coverage)
    texts = {
        out: dataset_card(config, present, counts, fetched, decoded),
        croissant_file: json.dumps(metadata, indent=1, ensure_ascii=False) + "\n",
    }
    clips = _read([index], ["video_id", "kind", "split", "audible"])
    scored = pd.read_csv(StringIO(csv_file.read_text(scores, KEY)))
    for path in networks:
        about = json_file.read(path)
        texts[path.with_name("README.md")] = model_card(path.parent.name, about, clips, scored)
    for path, text in texts.items():
        with tables.atomic_write(path) as part:
            part.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    stage.main(run)
