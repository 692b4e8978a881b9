"""What the videos do not suffice for: training, pseudo-labels, classes, and test sets."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from spm.base import runs
from spm.base.statuses import Kind, PretrainedBaseline, Split
from spm.base.words import count, shown
from spm.corpus.manifest import Video
from spm.corpus.windows import YOUTUBE_ID
from spm.workflow.preflight.facts import Facts, Problem, categories_of, error, warning
from spm.workflow.preflight.settings import RunFault, Settings, of_runs

TILES = 4  # categories that a mosaic shows
# Training videos and categories of the study of docs/training-study.md.
STUDY_VIDEOS, STUDY_CATEGORIES = 81, 25
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:|(www\.|m\.)?(youtube\.com|youtu\.be)/")
NUMBERS = {"solo": "test_solos", "duet": "test_duets", "validation": "val_solos"}


def training(facts: Facts) -> Iterator[Problem]:
    """Runs that have nothing to learn from."""
    if not runs.trained_runs(facts.config):
        return
    if not facts.by_split[Split.TRAIN]:
        numbers = ", ".join(
            f"index.{key}: {facts.config['index'][key]}" for key in NUMBERS.values()
        )
        yield error(
            f"{facts.plan.manifest}: no video is left for training, as the first videos of each"
            f" category are for test and validation ({numbers}): set smaller numbers, add"
            " videos, or fill the column split"
        )
        return
    faults = (kind_fault, negative_fault, keep_fault, mosaic_fault, duet_fault, class_faults,
              label_faults)  # fmt: skip
    for find in faults:
        yield from map(error, of_runs(facts, find))


def kind_fault(facts: Facts, run: Settings) -> Iterator[RunFault]:
    """No training video of the run's kinds."""
    if not facts.members(Split.TRAIN, run["kinds"]):
        yield RunFault(
            "kinds",
            f"no training video is a {' or '.join(run['kinds'])}: add videos, set another kind, or"
            " set smaller numbers of test videos (index)",
        )


def negative_fault(facts: Facts, run: Settings) -> Iterator[RunFault]:
    """One training video: no sound has a frame of another video as a negative."""
    videos = facts.members(Split.TRAIN, run["kinds"])
    if len(videos) == 1:
        yield RunFault(
            "kinds",
            f"only one training video ({videos[0].video_id}) is a {' or '.join(run['kinds'])}, but"
            " each sound is compared with frames of another video: add videos, or set smaller"
            " numbers of test videos (index)",
        )


def keep_fault(facts: Facts, run: Settings) -> Iterator[RunFault]:
    """The best epoch without videos to choose it by."""
    if run["keep"] == "best" and not facts.by_split[Split.VAL]:
        yield RunFault(
            "keep",
            "best chooses the epoch by validation videos, but there are none: set index.val_solos"
            " to 1 or more, or keep: last",
        )


def mosaic_fault(facts: Facts, run: Settings) -> Iterator[RunFault]:
    """Too few categories for mosaics of training solos."""
    names = categories_of(facts.members(Split.TRAIN, [Kind.SOLO]))
    if run.get("mosaic_epochs") and len(names) < TILES:
        yield RunFault(
            "mosaic_epochs",
            f"{run['mosaic_epochs']}, but a mosaic needs training solos of {TILES}"
            f" categories, and only {_listed(names)} has them: add solos, or set"
            " mosaic_epochs: 0",
        )


def _listed(names: Sequence[str]) -> str:
    return shown(names) or "none"


def duet_fault(facts: Facts, run: Settings) -> Iterator[RunFault]:
    """Epochs on duets without duets."""
    if run.get("duet_epochs") and not facts.members(Split.TRAIN, [Kind.DUET]):
        yield RunFault(
            "duet_epochs",
            f"{run['duet_epochs']}, but there is no training duet: add duets, set a"
            " smaller index.test_duets, or duet_epochs: 0",
        )


def class_faults(facts: Facts, run: Settings) -> Iterator[RunFault]:
    """Fewer clusters of objects than categories, or more than clips."""
    clusters = run.get("clusters")
    if clusters is None:
        return
    names = categories_of(class_solos(facts, run))
    if len(names) > clusters:
        yield RunFault(
            "clusters",
            f"{clusters}, but the training solos have {len(names)} categories"
            f" ({shown(names)}), and each needs a cluster of its own: set clusters: {len(names)}"
            " or more",
        )
    most = facts.most_clips(facts.members(Split.TRAIN, run["kinds"]))
    if clusters > most:
        text = f"{clusters}, but there are {_at_most(most)}: set fewer clusters"
        yield RunFault("clusters", text)


def label_faults(facts: Facts, run: Settings) -> Iterator[RunFault]:
    """A method that learns categories, of which no training video has any, or one of those set."""
    classes = run.get("classes")
    if classes is None:
        return
    names = categories_of(facts.members(Split.TRAIN, run["kinds"]))
    unknown = sorted({*classes} - {*names})
    if not names:
        yield RunFault(
            "method",
            f"{run['method']} learns categories, but no training video has one: name them in the"
            " manifest, or choose another method",
        )
    elif unknown:
        yield RunFault(
            "classes",
            f"no training video shows {shown(unknown)}: expected some of {shown(names)}, or []"
            " for all of them",
        )


def class_solos(facts: Facts, run: Settings) -> list[Video]:
    """The training solos of a run, from which each category gets its cluster."""
    return facts.members(Split.TRAIN, {Kind.SOLO} & set(run["kinds"]))


def pseudo_labels(facts: Facts) -> Iterator[Problem]:
    """More clusters of sounds than clips, or fewer than categories."""
    videos = facts.by_split[Split.TRAIN]
    most, names = facts.most_clips(videos), categories_of(videos)
    for audio in facts.plan.promoted:
        k = runs.audio_config(facts.config, audio, "clusters")["k"]
        is_own = "k" in ((facts.config["audio"][audio] or {}).get("clusters") or {})
        key = f"audio.{audio}.clusters.k" if is_own else "clusters.k"
        if videos and k > most:
            yield error(f"{key}: {k}, but there are {_at_most(most)}: set a smaller k")
        elif k < len(names):
            yield warning(
                f"{key}: {k}, but the training videos have {len(names)} categories: some share a"
                f" pseudo-label, and the network learns to confuse them: set k to {len(names)} or"
                " more"
            )


def _at_most(most: float) -> str:
    return (
        f"at most {most:.0f} audible training clips (by clips.max_s, and by the counts of the last"
        " run, results/corpus/index/coverage.csv: delete it if the videos are others now)"
    )


def testsets(facts: Facts) -> Iterator[Problem]:
    """Test sets without videos."""
    for testset in dict.fromkeys(facts.plan.testsets):
        videos = facts.tested(testset)
        others = [name for name in facts.plan.testsets if name != testset]
        remove = f"or remove {testset} from maps.testsets" if others else "or name another test set"
        if testset == "synthetic":
            names = categories_of(videos)
            if len(names) < TILES:
                yield error(
                    f"maps.testsets: synthetic, but a mosaic needs test solos of {TILES}"
                    f" categories, and only {_listed(names)} has them: add solos, {remove}"
                )
        elif not videos:
            kind = Kind.SOLO if testset == "validation" else testset
            listed = any(video.kind == kind for video in facts.videos)
            raised = "fill the column split of the manifest"
            if key := NUMBERS.get(testset):
                raised = f"set index.{key} to 1 or more (now {facts.config['index'][key]})"
            yield error(
                f"maps.testsets: {testset}, but there is no {kind} for it: "
                + (f"{raised}, {remove}" if listed else f"add {kind}s, {remove}")
            )


def worth(facts: Facts) -> Iterator[Problem]:
    """Videos from which little can be learned."""
    videos = facts.by_split[Split.TRAIN]
    if not (videos and runs.trained_runs(facts.config)):
        return  # `training` says why
    learned, tested = categories_of(videos), categories_of(facts.by_split[Split.TEST])
    number = count(len(categories_of(facts.videos)), "category")
    is_auto = facts.config["index"]["test_solos"] == "auto"
    remedy = "add videos" if is_auto else "add videos, or set index.test_solos: auto"
    if only_test := sorted(set(tested) - set(learned)):
        yield warning(
            f"{len(only_test)} of {number} have only test videos ({shown(only_test)}), so nothing"
            f" is learned about them: {remedy}"
        )
    if tested and (only_train := sorted(set(learned) - set(tested))):
        yield warning(
            f"{len(only_train)} of {number} have no test video ({shown(only_train)}), so their"
            f" maps are never scored: {remedy}"
        )
    if len(learned) == 1:
        yield warning(
            f"all training videos show {learned[0]}: there is nothing to tell apart: add videos of"
            " other categories"
        )


def few(facts: Facts) -> Iterator[Problem]:
    """No more training videos than in the study, where training gave no better boxes."""
    videos, config = facts.by_split[Split.TRAIN], facts.config
    learned, trained = categories_of(videos), runs.trained_runs(config)
    most = max(STUDY_VIDEOS, STUDY_VIDEOS * len(learned) // STUDY_CATEGORIES)
    if not trained or not 1 < len(videos) <= most:
        return
    number = f"{count(len(videos), 'training video')}{facts.training_time()}"
    is_compared = PretrainedBaseline.ZERO_SHOT in config["scores"]["pretrained_baselines"] or any(
        runs.method_of(config, run) == "zero_shot" for run in facts.plan.runs
    )
    advice = "" if is_compared else "add it to scores.pretrained_baselines, and "
    is_random = any(runs.run_config(config, run)["start"] == "none" for run in trained)
    start = ", and start from pretrained weights (train.start: imagenet)" if is_random else ""
    yield warning(
        f"{number} of {count(len(learned), 'category')}: in a study with {STUDY_VIDEOS} of"
        f" {STUDY_CATEGORIES}, no trained network gave better boxes than zero-shot, which needs no"
        " training; with pretrained audio, one told better which of the players that it knew is"
        f" heard (docs/training-study.md): {advice}compare your run with zero-shot{start}"
    )


def unknown(facts: Facts) -> Iterator[Problem]:
    """Videos without categories."""
    if videos := [video.video_id for video in facts.videos if not video.categories]:
        yield warning(
            f"{facts.plan.manifest}: {count(len(videos), 'video')} without categories"
            f" ({shown(videos)}): used for training and for scores without classes, but not for"
            " mosaics, maps of categories, detected boxes and class-aware scores"
        )


def media(facts: Facts) -> Iterator[Problem]:
    """Videos that can't be fetched, and files that do not exist."""
    if flawed := [video for video in facts.videos if video.flaw]:
        first = f"{flawed[0].video_id}: {flawed[0].flaw}"
        yield warning(
            f"{facts.plan.manifest}: {count(len(flawed), 'video')} can't be fetched ({first}):"
            " correct or remove the rows"
        )
    folder = os.path.dirname(facts.plan.manifest)
    missing = [video for video in facts.videos if is_missing(video, folder)]
    if missing:
        names = shown([video.url for video in missing], 1)
        yield warning(
            f"{facts.plan.manifest}: {len(missing)} of {count(len(facts.videos), 'video')} have no"
            f" file ({names}; relative paths start at {Path(folder or '.').absolute()}): they stay"
            " in the tables, without clips"
        )


def is_missing(video: Video, folder: str) -> bool:
    """Whether a video is a path where there is no file."""
    if video.flaw or YOUTUBE_ID.fullmatch(video.url) or ADDRESS.match(video.url):
        return False
    return not os.path.exists(os.path.join(folder, video.url))
