"""Figures of systems on frames that are shown with own and other sounds."""

from pathlib import Path

import numpy as np
import pytest

from spm.base import schemas, tables
from spm.base.statuses import NegativeUse, PlayedSound
from spm.boxes.formats.frames import Box
from spm.score import map_streams, negative_scores
from spm.score.map_streams import StreamedMaps
from spm.score.negative_scores import SoundMaps, SystemMaps, read, summarize
from spm.score.workflow_tables import FrameKey

FRAMES, SIZE = 12, 8
BOX = Box("cello", (0.25, 0.25, 0.5, 0.5))
KEYS = [FrameKey(f"v{n // 2}_{n}", 0) for n in range(FRAMES)]
BOXES = {key: [BOX] for key in KEYS}
VIDEOS = [(f"v{n // 2}",) for n in range(FRAMES)]  # two frames each
NEGATIVE = (PlayedSound.SILENCE, PlayedSound.OFF_SCREEN)
OPTIONS = {"resamples": 50, "seed": 0}


def drawn(value):
    """Maps that have this value in the box, and a tenth of it elsewhere."""
    maps = np.full((FRAMES, SIZE, SIZE), value / 10, np.float32)
    maps[:, 2:6, 2:6] = value
    return maps


def system(own, other, threshold=None):
    """A system with these maps, and with `threshold` as its maps for the threshold."""
    parts = {PlayedSound.OWN: own} | dict.fromkeys(NEGATIVE, other)
    test = {sound: SoundMaps(KEYS, VIDEOS, maps) for sound, maps in parts.items()}
    chosen = {} if threshold is None else {PlayedSound.SILENCE: SoundMaps(KEYS, VIDEOS, threshold)}
    return SystemMaps(test, chosen)


SILENT, FULL = np.zeros((2, FRAMES, SIZE, SIZE), np.float32)
FULL = FULL + 1


def test_a_system_that_hears_has_foreground_only_with_the_own_sound():
    found = summarize(system(drawn(0.9), drawn(0.1)), BOXES, 0.5, **OPTIONS)
    assert (found["frames"], found["videos"]) == (FRAMES, FRAMES // 2)
    own, everything = found["sounds"]["own"], found["sounds"]["all"]
    assert own["ciou"] > 0.9
    assert own["loc_acc"] == 1
    assert (everything["fpr"], everything["pia"], everything["auc_pia"]) == (0, 0, 1)
    assert everything["same"] == 0
    assert everything["f"] == pytest.approx(2 * own["ciou"] / (1 + own["ciou"]))
    assert everything["max_f1"] == everything["ap"] == 1
    assert everything["ap_slavc"] == 0
    assert set(found["sounds"]) == {"own", "silence", "off-screen", "all"}


def test_a_system_that_ignores_the_sound_has_the_same_foreground_with_every_sound():
    found = summarize(system(drawn(0.9), drawn(0.9)), BOXES, 0.5, **OPTIONS)["sounds"]
    assert found["own"]["ciou"] > 0.9
    for sound in ("silence", "off-screen", "all"):
        assert found[sound]["same"] == found[sound]["fpr"] == 1
        assert found[sound]["pia"] == pytest.approx(0.25, abs=0.03)
        assert found[sound]["g_miou"] < 0.2
    assert found["silence"]["max_f1"] == pytest.approx(2 / 3)  # half of the frames are negative
    assert found["all"]["max_f1"] == pytest.approx(1 / 2)  # two of three are


def test_silent_maps_and_full_maps_have_no_f():
    silent = summarize(system(SILENT, SILENT), BOXES, 0.5, **OPTIONS)["sounds"]["all"]
    full = summarize(system(FULL, FULL), BOXES, 0.5, **OPTIONS)["sounds"]["all"]
    assert (silent["pia"], silent["f"], silent["same"]) == (0, 0, 1)
    assert (full["pia"], full["f"], full["same"]) == (1, 0, 1)


def test_the_threshold_empties_three_quarters_of_the_maps_it_is_chosen_on():
    levels = np.linspace(0.1, 0.6, FRAMES, dtype=np.float32)[:, None, None]
    chosen = summarize(system(drawn(0.9), drawn(0.1), FULL * levels), BOXES, None, **OPTIONS)
    assert chosen["threshold_from"] == "threshold"
    assert chosen["threshold"] == pytest.approx(np.quantile(levels, 0.75))
    test = summarize(system(drawn(0.9), drawn(0.1)), BOXES, None, **OPTIONS)
    assert (test["threshold_from"], test["threshold"]) == ("test", pytest.approx(0.1))


def test_frames_without_a_box_or_without_a_sound_are_left_out():
    boxes = {key: [BOX] for key in KEYS[:6]}
    maps = system(drawn(0.9), drawn(0.1))
    short = SoundMaps(KEYS[1:], VIDEOS[1:], drawn(0.1)[1:])
    test = dict(maps.test) | {PlayedSound.SILENCE: short}
    found = summarize(SystemMaps(test, {}), boxes, 0.5, **OPTIONS)
    assert (found["frames"], found["videos"]) == (5, 3)
    assert summarize(maps, {}, 0.5, **OPTIONS)["sounds"] == {}


def test_maps_in_a_file_have_the_figures_of_maps_in_memory_and_are_read_in_parts(monkeypatch):
    read_at_once = []

    def load(maps):
        def rows(numbers):
            read_at_once.append(len(numbers))
            return maps[numbers]

        return rows

    def in_file(sounds):
        streamed = {}
        for sound, part in sounds.items():
            maps = StreamedMaps(Path("maps"), part.maps.shape, load(part.maps))
            streamed[sound] = part._replace(maps=maps)
        return streamed

    held = system(drawn(0.9), drawn(0.1), FULL)
    expected = summarize(held, BOXES, None, **OPTIONS)
    monkeypatch.setattr(map_streams, "CHUNK_BYTES", 2 * 3 * 4 * SIZE**2)  # three pairs of maps
    streamed = SystemMaps(in_file(held.test), in_file(held.threshold))
    assert summarize(streamed, BOXES, None, **OPTIONS) == expected
    assert max(read_at_once) <= 6


def test_intervals_are_those_of_resampled_videos():
    own = drawn(0.9)
    own[6:] = 0.05  # three of six videos are not found
    found = summarize(system(own, drawn(0.1)), BOXES, 0.5, **OPTIONS)["sounds"]
    low, high = found["own"]["interval_95"]["loc_acc"]
    assert low < found["own"]["loc_acc"] == 0.5 < high
    low, high = found["all"]["interval_95"]["f"]
    assert low < found["all"]["f"] < high
    one = {sound: part._replace(videos=[("v",)] * FRAMES) for sound, part in
           system(own, own).test.items()}  # fmt: skip
    alone = summarize(SystemMaps(one, {}), BOXES, 0.5, **OPTIONS)["sounds"]
    assert alone["own"]["interval_95"]["loc_acc"] is None


def test_a_table_is_read_by_use_and_sound(tmp_path):
    rows = []
    for use, sound in ((NegativeUse.TEST, PlayedSound.OWN), (NegativeUse.THRESHOLD, "silence")):
        for key in reversed(KEYS):
            about = {"clip_id": key.clip_id, "video_id": "v", "frame": 0, "time_s": 0.0}
            cells = {"height": 1, "width": 2, "map": [0.5, 0.1]}
            rows.append({**about, "use": use.value, "sound": str(sound), **cells})
    tables.write_rows(tmp_path / "maps.parquet", schemas.NEGATIVE_MAPS, rows)
    found = read(tmp_path / "maps.parquet")
    assert [*found.test] == [PlayedSound.OWN]
    assert [*found.threshold] == [PlayedSound.SILENCE]
    assert found.test[PlayedSound.OWN].keys == sorted(KEYS)
    assert found.test[PlayedSound.OWN].maps.shape == (FRAMES, 1, 2)
    assert negative_scores.choose_threshold(found) == (0.5, "threshold")
