"""Boxes that do not fit the videos: given ones, and those that a detector can find."""

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from spm.base.errors import UserError
from spm.base.json_cache import cached
from spm.base.statuses import Split
from spm.base.words import count, did_you_mean, shown
from spm.score.protocols import PROTOCOLS
from spm.workflow.plan import CACHE
from spm.workflow.preflight.corpus import class_solos
from spm.workflow.preflight.facts import Facts, Problem, Severity, categories_of, error, warning
from spm.workflow.preflight.settings import RunFault, Settings, of_runs


def given(facts: Facts) -> Iterator[Problem]:
    """A file of given boxes that is missing, has a fault, or is of other videos."""
    path = Path(facts.plan.given_boxes)
    if not facts.needs_given_boxes or not Path(facts.plan.manifest).is_file():
        return  # the file is looked for beside the manifest
    if not path.is_file():
        yield error(
            f"corpus.boxes: {facts.plan.box_sources} needs the file {path}, which does not exist:"
            " write it (spm review --draw, see docs/boxes.md), name another file with"
            " corpus.given_boxes, let a detector find boxes (corpus.boxes: [detector]), or train"
            " without scores (corpus.boxes: [])"
        )
        return
    try:
        boxes = facts.given_boxes
    except UserError as fault:
        yield error(str(fault))
        return
    if not boxes:
        yield error(f"{path}: no boxes: expected at least one line after the header")
    elif facts.videos:
        yield from _mismatches(facts, path)


def _mismatches(facts: Facts, path: Path) -> Iterator[Problem]:
    """Boxes whose video or category the manifest does not have."""
    listed, boxes = facts.categories, facts.named_boxes
    total = sum(boxes.values())
    fitting = sum(facts.fitting_boxes.values())
    unknown = {key: number for key, number in boxes.items() if key[0] not in listed}
    others = {
        key: number
        for key, number in boxes.items()
        if key[0] in listed and key[1] not in listed[key[0]]
    }
    problem = warning if fitting else error
    if unknown:
        names = sorted({video for video, _ in unknown})
        yield problem(
            f"{path}: {sum(unknown.values())} of {count(total, 'box')} do not count, as the"
            f" manifest does not have their videos ({shown(names)}): correct video_id, or add the"
            f" videos{did_you_mean(names[0], listed)}"
        )
    if others:
        names = [f"{category} on {video}" for video, category in sorted(others)]
        known = set().union(*listed.values())
        questions = (did_you_mean(category, known) for _, category in sorted(others))
        question = next(filter(None, questions), "")
        yield problem(
            f"{path}: {sum(others.values())} of {count(total, 'box')} do not count, as the"
            f" manifest does not list their category for the video ({shown(names)}): correct the"
            f" boxes, or the manifest's categories{question}"
        )


def scored(facts: Facts) -> Iterator[Problem]:
    """Test sets without a given box, and a detector without one to learn from."""
    boxed = {video for video, _ in facts.fitting_boxes}
    learned = {video for video, _ in facts.learned_boxes}
    if not boxed:
        return  # `given` says why
    path = facts.plan.given_boxes
    if "given" in facts.plan.box_sources:
        testsets = dict.fromkeys(facts.plan.testsets)
        without = [testset for testset in testsets if _lacks_boxes(facts, testset, boxed)]
        problem = error if len(without) == len(testsets) else warning
        for testset in without:
            names = shown([video.video_id for video in facts.tested(testset)])
            yield problem(
                f"maps.testsets: {testset}: {path} has no box on its videos ({names}), so nothing"
                " is scored: draw boxes on them, or remove it from maps.testsets"
            )
    trained = {video.video_id for video in facts.by_split[Split.TRAIN]}
    if facts.plan.trains_on_given_boxes and not learned & trained:
        yield error(
            f"detector.source: given, but {path} has no box on a training video: draw boxes on"
            " training videos, or set detector.source: openimages"
        )


def unscored(facts: Facts) -> Iterator[Problem]:
    """Given boxes on training videos, which nothing reads."""
    if "given" not in facts.plan.box_sources or facts.plan.trains_on_given_boxes:
        return
    trained = {video.video_id for video in facts.by_split[Split.TRAIN]}
    unread = {key: number for key, number in facts.fitting_boxes.items() if key[0] in trained}
    if unread:
        total = count(sum(facts.fitting_boxes.values()), "box")
        names = shown(sorted({video for video, _ in unread}))
        yield Problem(
            Severity.NOTE,
            f"{facts.plan.given_boxes}: {sum(unread.values())} of {total} are on training videos"
            f" ({names}) and are not scored: to score them, write test in the column split of the"
            " manifest",
        )


def _lacks_boxes(facts: Facts, testset: str, boxed: Collection[str]) -> bool:
    """Whether no video of a test set has a box, and some box is needed."""
    if testset == "synthetic" and facts.config["mosaic_boxes"]["of"] == "tiles":
        return False
    videos = facts.tested(testset)
    return bool(videos) and not any(video.video_id in boxed for video in videos)


def detector(facts: Facts) -> Iterator[Problem]:
    """Weights of a detector that are missing, and categories that it can't detect."""
    if "detector" not in facts.plan.box_sources:
        return
    try:
        classes = detector_classes(facts)
    except UserError as fault:
        yield error(str(fault))
        return
    settings = facts.config["annotations"]
    detectable = {settings["class_map"].get(name, name) for name in classes}
    tested = categories_of([v for testset in facts.plan.testsets for v in facts.tested(testset)])
    missing = [name for name in tested if name not in detectable]
    if not missing or not classes or settings["any_class"]:
        return
    if missing == tested:
        yield error(
            f"corpus.boxes: detector, but it has no class for any category of the test videos"
            f" ({shown(tested)}): name their classes in openimages.classes or"
            " annotations.class_map, or use given boxes"
        )
    else:
        yield Problem(
            Severity.NOTE,
            f"{len(missing)} of {count(len(tested), 'test category')} have no class of the"
            f" detector and get no score: {shown(missing, len(missing))} (docs/boxes.md)",
        )


def detector_classes(facts: Facts) -> list[str]:
    """The classes of the detector; empty if they aren't known.

    Raises
    ------
    UserError
        If `detect.weights` names a file that is missing or has no list of classes.
    """
    if facts.plan.trains_on_openimages:
        return list(facts.config["openimages"]["classes"])
    if facts.plan.trains_on_given_boxes:
        return sorted({category for _, category in facts.learned_boxes})
    weights = Path(facts.plan.detector_weights)
    about = weights.with_suffix(".json")
    for path in (weights, about):
        if not path.is_file():
            raise UserError(
                f"detect.weights: there is no file {path}: correct the path (the weights need a"
                " .json file of the same name), or set null to train a detector"
            )
    try:
        content: Any = json.loads(about.read_text(encoding="utf-8"))
        return [str(name) for name in content["categories"]]
    except (ValueError, KeyError, TypeError) as fault:
        raise UserError(
            f"detect.weights: {about}: {type(fault).__name__}: {fault}: expected JSON with the"
            " list categories, as the stage detector writes it"
        ) from fault


def untrained_classes(facts: Facts) -> Iterator[Problem]:
    """Test categories without a map of their own, under protocols that score each category's."""
    protocols = [name for name in facts.plan.protocols if name in PROTOCOLS]
    aware = [name for name in protocols if PROTOCOLS[name].class_aware]
    if not aware or not facts.plan.box_sources:
        return

    def find(facts: Facts, run: Settings) -> Iterator[RunFault]:
        learned = set(categories_of(class_solos(facts, run)))
        names = [name for name in _scored_categories(facts) if name not in learned]
        if "clusters" in run and learned and names:
            yield RunFault(
                "kinds",
                f"no training solo shows {shown(names)}, but {shown(aware)} scores each category"
                " by its own map: add training solos of them, set a smaller index.test_solos, or"
                " remove the protocol",
            )

    is_certain = "given" in facts.plan.box_sources
    yield from map(error if is_certain else warning, of_runs(facts, find))


def _scored_categories(facts: Facts) -> list[str]:
    """Categories that have boxes on test videos; those of the manifest if a detector finds them."""
    videos = [v for testset in facts.plan.testsets for v in facts.tested(testset)]
    if "given" not in facts.plan.box_sources:
        return categories_of(videos)
    tested = {video.video_id for video in videos}
    return sorted({category for video, category in facts.fitting_boxes if video in tested})


def reviews(facts: Facts) -> Iterator[Problem]:
    """A file of reviewers' decisions that has a fault."""

    def compute() -> int:
        from spm.boxes.review import decisions  # takes a second

        return len(decisions.read(path))

    for path in map(Path, facts.plan.reviews if facts.plan.box_sources else []):
        try:
            cached(path, "reviews", "spm.boxes.review.decisions", CACHE, compute)
        except UserError as fault:
            yield error(str(fault))


def none(facts: Facts) -> Iterator[Problem]:
    """No boxes: what the run does without them, and what comes next."""
    if facts.plan.box_sources:
        return
    is_looked_for = facts.config["corpus"]["boxes"] is None
    setting = "" if is_looked_for else " and set corpus.boxes: [given]"
    yield Problem(
        Severity.NOTE,
        "no boxes: networks are trained and maps are drawn, but nothing is scored. To get scores,"
        f" draw boxes with spm review --draw {facts.plan.given_boxes}{setting} (docs/boxes.md), or"
        " let a detector find boxes: corpus.boxes: [detector]",
    )
