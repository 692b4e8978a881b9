"""The plan of a project: what the rules need to know of the config and of the list of videos.

rules/common.smk makes one `Plan` when Snakemake reads the rules, which it does again in every job.
Therefore this module imports neither torch nor Snakemake.
"""

import hashlib
import json
import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from spm.base import runs
from spm.base.digest import code_digest
from spm.base.file_digest import known_digests
from spm.base.statuses import PretrainedBaseline
from spm.corpus import membership

Config = Mapping[str, Any]

CACHE = Path(".snakemake/spm")  # in the working directory
INDEX = "results/corpus/index/clips.parquet"
TEST_MOSAICS = "results/fusion/mosaics/test"
MOSAIC_TABLES = ("index.parquet", "clips/0000.parquet", "spectrograms/0000.parquet")
PRIOR_SUFFIX = "+prior"  # of the name of a run whose maps are mixed with the object prior
TRAINED_DETECTOR = "results/boxes/detector/weights.safetensors"
OPENIMAGES = {
    "images": "results/boxes/openimages/images.parquet",
    "boxes": "results/boxes/openimages/boxes.parquet",
}


def resolve_path(path: str, base_dir: Path) -> str:
    """The path itself where it exists; otherwise the same path in the folder of the Snakefile."""
    return path if Path(path).exists() else str(base_dir / path)


def file_digest(path: str | Path) -> str:
    """Digest of the content of a small file of the user: 16 hexadecimal digits.

    Snakemake compares times, and ignores a changed file that is older than the results. The digest
    is a param of the rules, so that such a change counts too.
    """
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]


def canonical_json(settings: Config, without: Collection[str] = ()) -> str:
    """Settings as JSON with sorted keys: equal settings give equal text."""
    kept = {key: value for key, value in settings.items() if key not in without}
    return json.dumps(kept, sort_keys=True)


@dataclass(frozen=True)
class Plan:
    """What a config and a list of videos ask the workflow to make."""

    config: Config  # checked against its schema, numbers as numbers
    manifest: str  # path of the list of videos
    members: Mapping[str, str]  # name of each shard: digest of its rows of the manifest

    @classmethod
    def from_config(cls, config: Config, base_dir: Path) -> "Plan":
        """Read the manifest; `spm.workflow.preflight` checks the rest of the project.

        Parameters
        ----------
        config : Config
            The whole config, checked against its schema.
        base_dir : Path
            The folder of the Snakefile.

        Raises
        ------
        UserError
            If the manifest has a fault.
        """
        manifest = resolve_path(config["corpus"]["manifest"], base_dir)
        digests = membership.shard_digests(Path(manifest), config["corpus"]["shards"], CACHE)
        return cls(config, manifest, digests)

    # Corpus

    @cached_property
    def rows_digest(self) -> str:
        """Digest of the rows of the manifest: saving the file in another form changes nothing."""
        return membership.rows_digest(Path(self.manifest), CACHE)

    @cached_property
    def shards(self) -> list[str]:
        """Names of the shards that have videos."""
        return sorted(self.members)

    def shard_tables(self, stage: str) -> list[str]:
        """Tables of a stage of the corpus, one per shard."""
        return [f"results/corpus/{stage}/{shard}.parquet" for shard in self.shards]

    def local_digest(self, shard: str) -> str:
        """Digest of the sizes and times of a shard's local videos."""
        shards = self.config["corpus"]["shards"]
        return membership.local_digest(Path(self.manifest), shards, shard, CACHE)

    # Sections of the config, as params of the rules

    def section(self, name: str, without: Collection[str] = ()) -> str:
        """One section of the config as canonical JSON, without some keys."""
        return canonical_json(self.config[name], without)

    def audio_section(self, audio: str, stage: str) -> str:
        """Settings of one audio network in the stage `clusters` or `pretrain`."""
        return canonical_json(runs.audio_config(self.config, audio, stage))

    def run_section(self, run: str) -> str:
        """Settings of a run; the audio network is part of them only if the run is promoted."""
        settings = self.run_config(run)
        return canonical_json(settings, without=() if settings["promote"] else ("audio",))

    # Runs

    @cached_property
    def runs(self) -> list[str]:
        """Names of the runs that the config doesn't leave out."""
        return runs.run_names(self.config)

    def run_config(self, run: str) -> dict[str, Any]:
        """Settings of a run: section `train`, changed by its method, changed by its own row."""
        return runs.run_config(self.config, run)

    def run_code(self, run: str, stage: str) -> str:
        """Digests of a stage's code and of the code of the run's method."""
        method = self.run_config(run)["method"]
        return f"{code_digest(stage)} {code_digest(f'spm.fusion.methods.{method}')}"

    @cached_property
    def promoted(self) -> list[str]:
        """Names of the audio networks from which runs start."""
        configs = map(self.run_config, self.runs)
        return sorted({config["audio"] for config in configs if config["promote"]})

    def pretrained_audio(self, run: str) -> list[str]:
        """Weights of the audio network from which a run starts, if it is promoted."""
        config = self.run_config(run)
        weights = f"results/audio/pretrain/{config['audio']}/audio.safetensors"
        return [weights] if config["promote"] else []

    def audio_clips(self, audio: str, stage: str) -> list[str]:
        """Tables of clips, if an audio network reads sounds in the stage `clusters` or `pretrain`.

        YAMNet does; the other networks read spm's spectrograms.
        """
        settings = runs.audio_config(self.config, audio, stage)
        reads_sound = "yamnet" in (settings.get("features"), settings.get("network"))
        return self.shard_tables("clips") if reads_sound else []

    # Mosaics

    @cached_property
    def mosaic_splits(self) -> list[str]:
        """Splits of which mosaics are made: `train` for runs that learn from them, `test`."""
        trained = any(self.learns_from_mosaics(run) for run in self.runs)
        tested = "synthetic" in self.testsets
        return ["train"] * trained + ["test"] * tested

    def learns_from_mosaics(self, run: str) -> bool:
        """Whether mosaics are training data of a run."""
        return bool(self.run_config(run).get("mosaic_epochs"))

    def mosaic_tables(self, split: str) -> list[str]:
        """Tables of the mosaics of one split."""
        return [f"results/fusion/mosaics/{split}/{table}" for table in MOSAIC_TABLES]

    def training_mosaics(self, run: str) -> list[str]:
        """Tables of the mosaics that a run learns from, if it does."""
        return self.mosaic_tables("train") if self.learns_from_mosaics(run) else []

    # Test sets

    @property
    def testsets(self) -> list[str]:
        """Test sets for which each run draws maps."""
        return list(self.config["maps"]["testsets"])

    @property
    def protocols(self) -> list[str]:
        """Names of the protocols under which maps are scored."""
        return list(self.config["scores"]["protocols"])

    def test_index(self, testset: str) -> str:
        """The index of the clips of a test set."""
        return f"{TEST_MOSAICS}/index.parquet" if testset == "synthetic" else INDEX

    def test_annotations(self, testset: str, box_source: str) -> str:
        """The boxes that the maps of a test set are scored against."""
        if testset == "synthetic":
            return f"{TEST_MOSAICS}/boxes/{box_source}.parquet"
        return f"results/boxes/annotations/{box_source}.parquet"

    def test_tables(self, testset: str, stage: str) -> list[str]:
        """Tables of the stage `clips` or `spectrograms` of a test set."""
        if testset == "synthetic":
            return [f"{TEST_MOSAICS}/{stage}/0000.parquet"]
        return self.shard_tables(stage)

    @property
    def negative_testsets(self) -> list[str]:
        """Test sets whose frames are shown with other sounds, too."""
        has_sounds = bool(self.config["negatives"]["sounds"])
        return [name for name in self.testsets if has_sounds and name != "synthetic"]

    def negative_maps(self, run: str, testset: str) -> list[str]:
        """The maps of a run with other sounds; runs of `mixed_runs` have none."""
        listed = testset in self.negative_testsets and run in self.runs
        return [f"results/fusion/maps/{run}/negatives/{testset}.parquet"] if listed else []

    def baseline_negative_maps(self, testset: str) -> list[str]:
        """The maps of the pretrained baselines with other sounds."""
        listed = testset in self.negative_testsets
        names = self.config["scores"]["pretrained_baselines"] if listed else []
        folder = f"results/fusion/baseline_maps/{testset}/negatives"
        return [f"{folder}/{name}.parquet" for name in names]

    # Maps of networks that were not trained here

    @property
    def mixed_runs(self) -> list[str]:
        """Names under which the runs are scored again, with maps mixed with a prior."""
        mixes = self.config["maps"]["prior_alpha"] is not None
        return [f"{run}{PRIOR_SUFFIX}" for run in self.runs if mixes]

    @property
    def scored_runs(self) -> list[str]:
        """Names of all that is scored like a run."""
        return [*self.runs, *self.mixed_runs]

    @property
    def pretrained_networks(self) -> list[str]:
        """Names of the pretrained networks whose maps are needed."""
        wanted = set(self.config["scores"]["pretrained_baselines"])
        if self.mixed_runs:
            wanted.add(PretrainedBaseline(self.config["maps"]["prior"]))
        return [name.value for name in PretrainedBaseline if name in wanted]

    def run_maps(self, run: str, testset: str) -> str:
        """The maps of a run of `scored_runs` on a test set."""
        stage = "prior_maps" if run.endswith(PRIOR_SUFFIX) else "maps"
        return f"results/fusion/{stage}/{run}/{testset}.parquet"

    def unmixed_maps(self, run: str, testset: str) -> str:
        """The run's own maps from which those of a run of `mixed_runs` are made."""
        return self.run_maps(run.removesuffix(PRIOR_SUFFIX), testset)

    def baseline_maps(self, testset: str) -> list[str]:
        """The maps of the pretrained networks that are baselines on a test set."""
        names = self.config["scores"]["pretrained_baselines"]
        return [f"results/fusion/baseline_maps/{testset}/{name}.parquet" for name in names]

    # Boxes

    @property
    def box_sources(self) -> list[str]:
        """Sources of the boxes that maps are scored against: `given`, `detector`."""
        named = self.config["corpus"]["boxes"]
        if named is None:
            return ["given"] if Path(self.given_boxes).is_file() else []
        return list(named)

    @property
    def compares_boxes(self) -> bool:
        """Whether detected boxes are compared with given ones."""
        return {"given", "detector"} <= set(self.box_sources)

    @property
    def given_boxes(self) -> str:
        """Path of the file of given boxes, which may not exist."""
        name = self.config["corpus"]["given_boxes"] or "boxes.csv"
        return str(Path(self.manifest).parent / name)

    @property
    def reviews(self) -> list[str]:
        """Path of the file of people's decisions about boxes, if it exists."""
        path = Path(self.manifest).parent / (self.config["corpus"]["reviews"] or "reviews.csv")
        return [str(path)] if path.is_file() else []

    @property
    def reviews_digest(self) -> str:
        """Digest of the decisions; empty if there are none."""
        return " ".join(map(file_digest, self.reviews))

    def boxes_input(self, box_source: str) -> list[str]:
        """Files that annotations are made from: the given file, or the detections of each shard."""
        if box_source == "given":
            return [self.given_boxes]
        return [f"results/boxes/detect/{shard}.parquet" for shard in self.shards]

    def boxes_option(self, box_source: str) -> str:
        """The same files as an option of the command; a folder names the tables in it."""
        if box_source == "given":
            return f"--boxes {shlex.quote(self.given_boxes)}"
        return "--detections results/boxes/detect"

    def boxes_digest(self, box_source: str) -> str:
        """Digest of the given file; empty for detections, which are results of the workflow."""
        return file_digest(self.given_boxes) if box_source == "given" else ""

    # Detector

    @property
    def detector_weights(self) -> str:
        """Path of the detector's weights: those that the config names, or those trained here."""
        return str(self.config["detect"]["weights"] or TRAINED_DETECTOR)

    @property
    def trains_detector(self) -> bool:
        """Whether the workflow trains a detector."""
        return "detector" in self.box_sources and not self.config["detect"]["weights"]

    @property
    def trains_on_openimages(self) -> bool:
        """Whether the workflow trains a detector on Open Images."""
        return self.trains_detector and self.config["detector"]["source"] == "openimages"

    @property
    def trains_on_given_boxes(self) -> bool:
        """Whether the workflow trains a detector on the given boxes."""
        return self.trains_detector and self.config["detector"]["source"] == "given"

    def detector_classes(self, box_source: str) -> list[str]:
        """The file that lists the classes of the detector; given boxes need none."""
        classes = str(Path(self.detector_weights).with_suffix(".json"))
        return [classes] if box_source == "detector" else []

    def named_detector_digest(self, box_source: str = "detector") -> str:
        """Digests of the weights and classes that the config names; empty if it names none.

        Given boxes need none.
        """
        weights = self.config["detect"]["weights"]
        if not weights or box_source != "detector":
            return ""
        files = [weights, *self.detector_classes(box_source)]
        digests = known_digests(files, CACHE / "detector.json")
        return " ".join(digests[file] for file in files)

    def detector_input(self) -> dict[str, str | list[str]]:
        """Files that the detector learns from: Open Images, or frames with given boxes."""
        if self.config["detector"]["source"] == "openimages":
            return dict(OPENIMAGES)
        return {"index": INDEX, "clips": self.shard_tables("clips"), "boxes": self.given_boxes}

    def detector_option(self) -> str:
        """The same files, except the boxes, as options of the command."""
        if self.config["detector"]["source"] == "openimages":
            return f"--images {OPENIMAGES['images']}"
        return f"--index {INDEX} --clips results/corpus/clips"

    def detector_boxes_digest(self) -> str:
        """Digest of the given boxes, if the detector learns from them."""
        return file_digest(self.given_boxes) if self.trains_on_given_boxes else ""
