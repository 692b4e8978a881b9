"""What is left behind, described: a card of the data set with its Croissant metadata, and a card beside each network.

python -m spm.report.cards --config '{}' --index clips.parquet --coverage coverage.csv --ledgers 0000.parquet …
    --videos 0000.parquet … --names index clips … --scores scores.csv --networks train/spm/network.json …
    --out README.md --croissant-file croissant.json

Cards are Markdown as Hugging Face has it, with YAML before it: the `README.md` of the folder that they are about. They
say what was measured, and nothing else.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from spm.base import schemas, stage, tables
from spm.base.config import Section
from spm.report.croissant import CITATION, croissant
from spm.report.tables import markdown

DIGITS = 3
THEIRS = (
    "Pictures and sound are excerpts of videos that are their uploaders'; with these tables comes no right to them."
    " What the workflow made of them (boxes, labels, maps, scores) is its maker's."
)
DATASET = """\
# {name}

{available} of {listed} listed videos: {clips} seconds of them, {audible} loud enough to be learnt from. Made by spm, a
workflow that trains and scores localizers of what sounds in a video.

## To read it

    from datasets import load_dataset
    seconds = load_dataset("results", "index", split="train")

Or with pandas or DuckDB: docs/data.md of spm. What each column holds is in docs/tables.md, and in `croissant.json`.

## Tables

{tables}

## Coverage

Videos listed and available, and seconds, by what is heard and by split:

{coverage}

What came of asking for the videos, and of decoding them:

{answers}

## Licenses

{licenses} Where media came from:

{sources}

## Limits

Splits go by the place in the published list: a test video that is missing is missing from the test set. Categories are
the list's, for a whole video: nobody has checked that a category is heard and seen in each of its seconds.

## Citation

{citation}.
"""
MODEL = """\
# {run}: a localizer of what sounds in a video

Method `{method}`, trained on {learnt}.
Of a picture, {crop} × {crop} px, and the second of sound about it, it draws a map in [0, 1]: where it comes from.

    from spm import localize
    seen = localize.video("concert.mp4", "network.safetensors")
    print(seen.seconds())

## Scores

Measured, beside what trivial baselines get on the same frames.

{scores}
## Limits

It knows what it was trained on, as it looks and sounds there. A map says where, not whether: it is hot somewhere even
where nothing of what is seen can be heard.

## Settings

```yaml
{settings}```

## Citation

{citation}.
"""


class Cards(Section):
    """What only its maker can say of a data set."""

    name: str = "Seconds of video, and where their sound comes from"  # of the data set
    license: str = (
        "other"  # of the media, by Hugging Face's names; other: each video's is its uploader's
    )
    url: str | None = None  # where the data set will be found


def with_front(about: Mapping[str, Any], text: str) -> str:
    """A card: its YAML, then its Markdown."""
    return f"---\n{yaml.safe_dump(dict(about), sort_keys=False, allow_unicode=True)}---\n\n{text}"


def table_of(frame: pd.DataFrame) -> str:
    """A table in Markdown."""
    rows = [list(frame.columns), ["---"] * len(frame.columns), *frame.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows)


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
        The tables that there are.
    coverage : DataFrame
        Videos and seconds by kind, categories and split, as the index stage counts them.
    ledgers, videos : DataFrame
        A row a video: what came of asking for it, and of decoding it.
    """
    about = {
        "pretty_name": config.name,
        "license": config.license,
        "tags": ["audio-visual", "sound-source-localization", "music"],
        "size_categories": [size_category(int(coverage["clips"].sum()))],
        "configs": [{"config_name": each.name, "data_files": each.files} for each in present],
    }
    listed = [(f"`{each.name}`", f"`{each.files}`", each.row) for each in present]
    every = "Everything here, pictures and sound included, is under this license:"
    text = DATASET.format(
        name=config.name, citation=CITATION, **coverage[["listed", "available", "clips", "audible"]].sum(),
        tables=table_of(pd.DataFrame(listed, columns=["name", "files", "a row is"])), coverage=table_of(coverage),
        answers=table_of(answers(ledgers, videos)), sources=table_of(sources(ledgers)),
        licenses=THEIRS if config.license == "other" else f"{every} {config.license}.",
    )  # fmt: skip
    return with_front(about, text)


def answers(ledgers: pd.DataFrame, videos: pd.DataFrame) -> pd.DataFrame:
    """Videos by status, of fetching and of decoding."""
    steps = {"fetched": ledgers, "decoded": videos}
    found = [
        (what, status, count)
        for what, table in steps.items()
        for status, count in sorted(table["status"].value_counts().items())
    ]
    return pd.DataFrame(found, columns=["", "status", "videos"])


def sources(ledgers: pd.DataFrame) -> pd.DataFrame:
    """Videos and bytes by what fetched them."""
    here = ledgers[ledgers["status"] == "ok"]
    return (
        here.groupby("extractor")
        .agg(videos=("video_id", "size"), bytes=("bytes", "sum"))
        .reset_index()
    )


def model_card(
    run: str, about: Mapping[str, Any], index: pd.DataFrame, scores: pd.DataFrame
) -> str:
    """The card of a network.

    Parameters
    ----------
    run : str
        Its name.
    about : mapping
        What the weights have beside them: config, categories.
    index : DataFrame
        A row a second, of which it learnt from some.
    scores : DataFrame
        The score table, of which it has some rows, beside baselines.
    """
    config = about["config"]
    mine = scores[(scores["run"] == run) & scores["trained"].astype(bool)]
    matter = {
        "library_name": "spm",
        "tags": ["sound-source-localization", "audio-visual"],
        "model-index": [{"name": run, "results": list(results(mine))}],
    }
    beside = scores[(scores["run"] == run) | ~scores["trained"].astype(bool)]
    scored = (
        markdown(beside, DIGITS).replace("## ", "### ")
        if len(mine)
        else "Not scored: there are no boxes to score it against.\n"
    )
    settings = yaml.safe_dump(dict(config), sort_keys=True)
    text = MODEL.format(
        run=run, method=config["method"], crop=config["crop"], learnt=learnt(index, config["kinds"]), scores=scored,
        settings=settings, citation=CITATION,
    )  # fmt: skip
    return with_front(matter, text)


def learnt(index: pd.DataFrame, kinds: Sequence[str]) -> str:
    """How many audible training seconds there are of the kinds that a run learns from."""
    rows = index[(index["split"] == "train") & index["audible"]]
    found = [(kind, some) for kind in kinds for some in [rows[rows["kind"] == kind]] if len(some)]
    return " and ".join(
        f"{len(some)} seconds of {some['video_id'].nunique()} {kind} videos" for kind, some in found
    )


def results(rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Scores as Hugging Face's model index has them."""
    for row in rows.to_dict("records"):
        of = (
            f"{row['kind']}, {row['boxes']} boxes: {row['frames']} frames of {row['videos']} videos"
        )
        numbers = {
            str(name): value
            for name, value in row.items()
            if f"{name} low" in row and not pd.isna(value)
        }
        yield {
            "task": {"type": "sound-source-localization"},
            "dataset": {"name": of, "type": "spm"},
            "metrics": [
                {"type": name, "name": f"{name}, protocol {row['protocol']}", "value": float(value)}
                for name, value in numbers.items()
            ],
        }


def _frame(paths: Iterable[Path], names: list[str]) -> pd.DataFrame:
    return tables.read(list(paths), names).to_pandas()  # type: ignore[no-any-return]


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
    asked, decoded = (
        _frame(ledgers, ["video_id", "status", "bytes", "extractor"]),
        _frame(videos, ["status"]),
    )
    metadata = croissant(config.name, config.license, config.url, present)
    texts = {
        out: dataset_card(config, present, pd.read_csv(coverage), asked, decoded),
        croissant_file: json.dumps(metadata, indent=1, ensure_ascii=False) + "\n",
    }
    seconds, scored = _frame([index], ["video_id", "kind", "split", "audible"]), pd.read_csv(scores)
    for path in networks:
        about = json.loads(path.read_text(encoding="utf-8"))
        texts[path.with_name("README.md")] = model_card(path.parent.name, about, seconds, scored)
    for path, text in texts.items():
        with tables.atomic_write(path) as part:
            part.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    stage.main(run)
