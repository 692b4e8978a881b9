"""Does training add to not training, and promotion to training? On recordings of 25 instruments.

python -m benchmarks.study.run DATA --out study [--seeds 3]

The runs of workflow/configs/solos.yaml, each with several seeds, are compared with networks that
were not trained at all: the object prior, which is blind to sounds, and zero-shot. Test frames:
mosaics of unseen recordings, where the question is which two of four players sound; boxes of unseen
recordings; boxes of other people, places and things. docs/training-study.md has the results.

The workflow makes the corpora and the pretrained audio networks. This script trains the runs in one
process, with the functions of the stage `train`, because then the features of the frozen visual
network are computed once for all runs. A run that was trained before is not trained again.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.study import splits
from benchmarks.study.frames import (
    BASELINES,
    FIGURES,
    Cached,
    Folders,
    Frames,
    Values,
    boxed_frames,
    mosaic_frames,
    read_clips,
)
from spm.base import runs
from spm.base.digest import ROOT
from spm.corpus import clip_reader
from spm.fusion import maps, methods, prior_maps, train
from spm.fusion.localization_network import LocalizationNetwork
from spm.fusion.settings import RunConfig, Train
from spm.learn import weights
from spm.learn.epoch import Epoch
from spm.score import uncertainty
from spm.workflow.project import load_project

CONFIG = ROOT / "workflow/configs/solos.yaml"
MANIFEST = 'corpus={"manifest": "manifest.csv"}'
RESAMPLES = 2000
PAIRS = (  # of runs: the second one is subtracted
    ("spm", "no-promotion"), ("spm-untrained", "no-promotion"), ("spm-yamnet", "no-promotion"),
    ("spm", "spm-untrained"), ("spm-yamnet-promoted", "spm-yamnet"),
    ("dsol-promoted", "dsol"), ("dsol-untrained", "dsol"), ("dsol-yamnet", "dsol"),
    ("dsol-promoted", "dsol-untrained"), ("dsol-yamnet-promoted", "dsol-yamnet"),
)  # fmt: skip
AUDIO = ("main", "untrained", "yamnet", "yamnet-promoted")  # rows of `audio` in CONFIG
TABLES = ("index.parquet", "spectrograms/0000.parquet")


# Corpora, by the workflow


def snakemake(project: Path, targets: Sequence[str], *options: str) -> None:
    """Make tables of a project."""
    command = [sys.executable, "-m", "snakemake", *targets, "--cores", "2", "--quiet", *options]
    place = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(project)]
    subprocess.run([*command, *place], check=True)


def make_corpora(data: Path, out: Path) -> None:
    """Clips, mosaics, boxes and pretrained audio networks."""
    splits.write_all(data, out)
    mosaics = [f"results/fusion/mosaics/{split}/{table}" for split in ("train", "test")
               for table in TABLES]  # fmt: skip
    audio = [f"results/audio/pretrain/{name}/audio.safetensors" for name in AUDIO]
    snakemake(out / "solos", [*mosaics, *audio], "--configfile", str(CONFIG), "--config", MANIFEST)
    shards = [f"results/corpus/spectrograms/{shard:04d}.parquet" for shard in range(2)]
    boxes = "results/boxes/annotations/given.parquet"
    corpus = 'corpus={"manifest": "manifest.csv", "boxes": ["given"], "shards": 2}'
    snakemake(out / "boxed", [*shards, boxes], "--config", corpus)


# Runs


def settings_of(config: Mapping[str, Any], run: str, seed: int) -> Train:
    """Settings of a run with a seed."""
    return methods.settings_of(RunConfig(**runs.run_config(config, run) | {"seed": seed}))


def pretrained_audio(out: Path, settings: Train) -> Path | None:
    """Weights of the audio network that a promoted run starts from."""
    folder = out / "solos/results/audio/pretrain" / settings.audio
    return folder / "audio.safetensors" if settings.promote else None


def train_run(
    settings: Train, pretrained: Path | None, clips: Cached, mosaics: Cached, path: Path
) -> LocalizationNetwork:
    """Train one run, or read it if it was trained before with these settings."""
    settings = train.with_audio_network(settings, pretrained)
    config = json.loads(settings.model_dump_json())
    if path.exists() and weights.load(path)[1]["config"] == config:
        return maps.load(path)[0]
    network = train.prepare(settings, pretrained)
    extra = {"mosaics": mosaics.for_run(network, settings)} if settings.extra_data else {}
    data = clips.for_run(network, settings)
    trainer = methods.trainer_class(settings)(network, settings, data, extra)
    for epoch in range(settings.total_epochs):
        values = trainer.train_epoch(Epoch(epoch))
        shown = [f"{name} {value:.3f}" for (_, name), value in values.items()]
        print(f"{path.stem}, epoch {epoch + 1}: {', '.join(shown)}", file=sys.stderr, flush=True)
    weights.save(path, network.state_dict(), {"config": config})
    return network.eval()


@torch.inference_mode()
def heat_maps(network: LocalizationNetwork, frames: Frames) -> Tensor:
    """Maps of a network of all frames, (frames, h, w)."""
    parts, sounds = [], frames.sounds[network.reads]
    for indices in torch.arange(len(frames.keys)).split(64):
        visual = frames.visual[indices, None].float()  # (B, 1, c, h, w)
        parts.append(network.heat_maps(visual, sounds[indices]).sounding[:, 0])
    return torch.cat(parts).clone()


def score_run(
    network: LocalizationNetwork, frames: Frames, name: str, config: Mapping[str, Any]
) -> dict[str, Values]:
    """Figures of a run's maps, and of the same mixed with the prior of the config."""
    heat, mixing = heat_maps(network, frames), config["maps"]
    prior = frames.baselines[mixing["prior"]]
    mixed = prior_maps.mix(heat, prior, mixing["prior_alpha"], mixing["prior_mean"])
    return {name: frames.score(heat), f"{name}+prior": frames.score(mixed)}


def mean_over_seeds(values: Sequence[dict[str, Values]]) -> dict[str, Values]:
    """Mean of each frame's figures over the seeds, by the name of the system."""
    found = {}
    for name in values[0]:
        found[name] = mean_of([seed[name] for seed in values])
    return found


def mean_of(seeds: Sequence[Values]) -> Values:
    """Mean of each frame's figures over the seeds of one system."""
    found = {}
    for figure in FIGURES:
        found[figure] = np.mean([values[figure] for values in seeds], 0)
    return found


# Tables


def cell(value: float, bounds: tuple[float, float] | None, sign: str = "") -> str:
    """A figure with its interval; bold if it is a difference whose interval leaves 0 out."""
    text = f"{value:{sign}.3f}"
    if bounds is None:
        return text
    text += f" [{bounds[0]:.3f}, {bounds[1]:.3f}]"
    return f"**{text}**" if sign and (bounds[0] > 0 or bounds[1] < 0) else text


def print_tables(frames: Frames, systems: Mapping[str, Values]) -> None:
    """Print the figures of all systems, their gains over the baselines, and gains by promotion."""
    draws = uncertainty.draw(frames.videos, resamples=RESAMPLES, seed=0)
    print(f"\n{frames.name}: {len(frames.keys)} frames\n")
    against = [f"{FIGURES[figure]}, minus {name}" for figure in FIGURES for name in BASELINES]
    heads = ["", *FIGURES.values(), *against]
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for name, values in systems.items():
        cells = [cell(float(values[figure].mean()), uncertainty.interval_of(values[figure], draws))
                 for figure in FIGURES]  # fmt: skip
        cells += [gain(values, systems[other], figure, draws) for figure in FIGURES
                  for other in BASELINES]  # fmt: skip
        print(f"| {' | '.join([name, *cells])} |")
    print("\n| difference | " + " | ".join(FIGURES.values()) + " |\n|---|---|---|")
    for first, second in PAIRS:
        if {first, second} <= systems.keys():
            cells = [gain(systems[first], systems[second], figure, draws) for figure in FIGURES]
            print(f"| {' | '.join([f'{first} − {second}', *cells])} |")


def gain(first: Values, second: Values, figure: str, draws: uncertainty.Draws | None) -> str:
    """Paired difference of two systems, with its interval."""
    difference = uncertainty.difference_of(first[figure], second[figure], draws)
    return cell(*difference, sign="+")


@cache
def read_config(out: Path) -> Mapping[str, Any]:
    """The whole config of the study."""
    return load_project(out / "solos", [CONFIG], [MANIFEST]).config


def study(out: Path, seeds: int) -> None:
    """Train, score and print."""
    config = read_config(out)
    names = runs.run_names(config)
    visual = methods.build(settings_of(config, names[0], 0))
    px, folders = config["train"]["crop"], Folders.of(out / "solos")
    clips = read_clips(clip_reader.select(folders.index, split="train"), folders, visual, px)
    sources = Folders.of(out / "solos", "train")
    mosaics = read_clips(clip_reader.select(sources.index, split="train"), sources, visual, px)
    tests = [mosaic_frames(out, visual, config), *boxed_frames(out, visual, config)]
    systems: list[dict[str, Values]] = []
    for frames in tests:
        systems.append({name: frames.score(heat) for name, heat in frames.baselines.items()})
    for run in names:
        trained = []
        for seed in range(seeds):
            settings = settings_of(config, run, seed)
            path = out / "networks" / f"{run}-{seed}.safetensors"
            pretrained = pretrained_audio(out, settings)
            trained.append(train_run(settings, pretrained, clips, mosaics, path))
        for frames, found in zip(tests, systems, strict=True):
            found |= mean_over_seeds(
                [score_run(network, frames, run, config) for network in trained]
            )
    for frames, found in zip(tests, systems, strict=True):
        print_tables(frames, found)


def main() -> None:
    """Make the corpora, and run the study."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="the folder with solos/, real/ and wild/")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    make_corpora(options.data, options.out)
    study(options.out, options.seeds)


if __name__ == "__main__":
    main()
