"""Schemas of all tables in results/: the columns of each table, their types and their meaning.

The only place where columns are described: docs/tables.md, the data set's card and its Croissant
metadata are printed from here. A change of a description changes no code digest (spm.base.digest).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import pyarrow as pa

from spm.base.constants import FRAME_MATCH_S, FRAMES, N_MELS, SAMPLE_RATE_HZ
from spm.base.statuses import (
    Downmix,
    FetchStatus,
    Kind,
    NegativeUse,
    PlayedSound,
    Split,
    VideoStatus,
)

TEXT = pa.string()
INT32 = pa.int32()
INT64 = pa.int64()
FLOAT32 = pa.float32()
FLOAT64 = pa.float64()
TEXTS = pa.list_(pa.string())


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    name: str
    type: pa.DataType
    description: str


@dataclass(frozen=True)
class Table:
    """A kind of table that the workflow writes; `description` says what a row is."""

    name: str
    files: str  # under results/; a star is a part of the path that differs
    columns: tuple[Column, ...]
    description: str

    @cached_property
    def schema(self) -> pa.Schema:
        """Names and types of the columns, without metadata."""
        return pa.schema([(column.name, column.type) for column in self.columns])

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return [column.name for column in self.columns]


def _values(values: Iterable[str]) -> str:
    """Values of an enum as text for a description."""
    return ", ".join(f"`{value}`" for value in values)


# fmt: off
# Columns of several tables.
VIDEO_ID = Column("video_id", TEXT, description="Name of the video, as in the manifest; "
                  "of a mosaic, the names of its four videos with `/` between them.")
CLIP_ID = Column("clip_id", TEXT,
                 description="Name of the clip: name of the video and start of the clip in ms.")
START_S = Column("start_s", FLOAT64, description="Start of the clip in the video, in s; "
                 "in a window, too, from the start of the original video.")
TIME_S = Column("time_s", FLOAT64, description="Time of the frame in the video, in s.")
RMS_DB = Column("rms_db", FLOAT32, description="Level of the sound, in dB relative to full scale.")
FRAME = Column("frame", INT32, description="Number of the frame in its clip, from 0.")
REASON = Column("reason", TEXT, description="Why the status is not `ok`.")
PATH = Column("path", TEXT, description="Path of the file; empty unless the status is `ok`.")
SHA256 = Column("sha256", TEXT, description="SHA-256 digest of the file, hexadecimal.")
BYTES = Column("bytes", INT64, description="Size of the file, in bytes.")
IMAGE_ID = Column("image_id", TEXT, description="Name of the image in Open Images.")
SUBSET = Column("subset", TEXT,
                description="Subset of Open Images: `train`, `validation` or `test`.")
CATEGORY = Column("category", TEXT, description="Category of the object in the box.")
SCORE = Column("score", FLOAT32,
               description="Score of the detector, in [0, 1]; 1 for a box that a person drew.")
BOX = (
    Column("x", FLOAT64, description="Left edge, as a fraction of the frame's width."),
    Column("y", FLOAT64, description="Upper edge, as a fraction of the frame's height."),
    Column("w", FLOAT64, description="Width, as a fraction of the frame's width."),
    Column("h", FLOAT64, description="Height, as a fraction of the frame's height."),
)

LEDGER = Table("fetch", "corpus/fetch/*.parquet", (
    VIDEO_ID,
    Column("status", TEXT, description=f"Result of the download: {_values(FetchStatus)}. For "
           "`retry`, a later attempt may succeed; for `bad`, the address gives no media."),
    REASON,
    PATH,
    SHA256,
    BYTES,
    Column("extractor", TEXT,
           description="Source of the file: `local`, or yt-dlp's name of the website."),
    Column("window_start_s", FLOAT64, description="Start of the video's window in the file, in s; "
           "null if the whole video is used."),
    Column("window_end_s", FLOAT64, description="End of the video's window in the file, in s."),
    Column("offset_s", FLOAT64, description="Time in the original video at the start of the file, "
           "in s: not 0 if only a part of the video was downloaded."),
), description="A video of the manifest, and the result of its download.")
VIDEOS = Table("videos", "corpus/videos/*.parquet", (
    VIDEO_ID,
    Column("status", TEXT, description=f"Result of the decoding: {_values(VideoStatus)}. For "
           "`missing`, there is no file."),
    REASON,
    Column("width", INT32, description="Width as stored, before rotation, in px."),
    Column("height", INT32, description="Height as stored, before rotation, in px."),
    Column("fps", FLOAT64, description="Mean frame rate, in frames per second."),
    Column("rotation_deg", INT32,
           description="Counter-clockwise rotation that players apply, in degrees."),
    Column("rate_hz", INT32, description="Sample rate of the sound as stored, in Hz."),
    Column("channels", INT32, description="Number of channels of the sound as stored."),
    Column("layout", TEXT, description="Layout of the channels, as ffmpeg names it."),
    Column("downmix", TEXT, description=f"How the channels became one: {_values(Downmix)}."),
    Column("picture_track", INT32, description="Number of the track with the pictures, from 0."),
    Column("sound_track", INT32, description="Number of the track with the sound, from 0."),
    Column("program", INT32,
           description="Number of the program of a transport stream; null for other files."),
    Column("transfer", TEXT, description="Brightness curve of the pictures: `sdr`, `pq` or `hlg`. "
           "Both HDR curves are converted to SDR."),
    Column("interlaced", pa.bool_(),
           description="Whether the pictures are interlaced; their frames are not."),
    Column("video_s", FLOAT64, description="Length of the decoded frames, in s."),
    Column("audio_s", FLOAT64, description="Length of the decoded sound, in s."),
    Column("clips", INT32, description="Number of clips cut from the video."),
), description="A video of the manifest, and the result of its decoding.")
CLIPS = Table("clips", "corpus/clips/*.parquet", (
    CLIP_ID,
    VIDEO_ID,
    START_S,
    Column("frame_time_s", pa.list_(FLOAT64),
           description="Time of each frame in the video, in s."),
    Column("frames", pa.list_(pa.binary()), description="Frames, as square JPEG images."),
    Column("pcm", pa.binary(), description=f"Sound: {SAMPLE_RATE_HZ:,} samples at "
           f"{SAMPLE_RATE_HZ // 1000} kHz, mono, int16, little endian."),
    RMS_DB,
), description="A clip (one second of a video), with its frames and its sound.")
INDEX = Table("index", "corpus/index/clips.parquet", (
    CLIP_ID,
    VIDEO_ID,
    Column("shard", INT32, description="Shard of the clip: 7 means the files `0007.parquet`."),
    Column("row", INT32, description="Row of the clip in its shard of `clips` and `spectrograms`."),
    Column("kind", TEXT, description=f"Kind of the video: {_values(Kind)}."),
    Column("categories", TEXTS, description="Categories that sound, in the manifest's order; "
           "none if they are unknown."),
    Column("split", TEXT, description=f"Split of the video: {_values(Split)}."),
    START_S,
    RMS_DB,
    Column("audible", pa.bool_(), description="Whether the clip is loud enough for training: "
           "at least index.min_rms_db."),
), description="A clip: its place in the shards, its categories and its split.")
OPENIMAGES = Table("openimages", "boxes/openimages/images.parquet", (
    IMAGE_ID,
    SUBSET,
    Column("status", TEXT, description="`ok`; or the reason why there is no file: `gone`, `bad`, "
           "`retry`, `policy` (not wanted because of its boxes or its rotation) or `surplus` "
           "(more than openimages.max_per_class)."),
    REASON,
    PATH,
    SHA256,
    BYTES,
    Column("width", INT32, description="Width, in px."),
    Column("height", INT32, description="Height, in px."),
    Column("license", TEXT, description="License of the image."),
    Column("author", TEXT, description="Author of the image, to be credited."),
), description="An image of Open Images, and the result of its download.")
OPENIMAGES_BOXES = Table("openimages_boxes", "boxes/openimages/boxes.parquet", (
    IMAGE_ID,
    SUBSET,
    CATEGORY,
    *BOX,
    Column("status", TEXT, description="`kept`; or the reason why the box is not used: "
           "`malformed`, `no-picture`, or a flag of the box: `group-of`, `depiction`, `inside`, "
           "`truncated` or `occluded`."),
), description="A box of Open Images.")
DETECTIONS = Table("detect", "boxes/detect/*.parquet", (
    CLIP_ID, FRAME, TIME_S, CATEGORY, SCORE, *BOX,
), description="A detection, of any score.")
ANNOTATIONS = Table("annotations", "boxes/annotations/*.parquet", (
    CLIP_ID,
    VIDEO_ID,
    FRAME,
    TIME_S,
    CATEGORY,
    SCORE,
    *BOX,
    Column("status", TEXT, description="`kept`; or the reason why the box does not count: "
           "`low-score`, `other-category`, `silent`, `overlap`, `surplus`, `rejected` (by a "
           "reviewer), `unknown-video` (not in the manifest) or `unmatched` (no frame within "
           f"{FRAME_MATCH_S} s, or no clips of the video). `nothing-sounds`: the row is not a box; "
           "a person saw nothing that sounds in the frame."),
    Column("box", TEXT, description="The box before review, as `category x y w h`; "
           "reviews refer to boxes by this text."),
    Column("reviewer", TEXT, description="Who reviewed the box; empty without a review."),
), description="A box, with the reason where it does not count; or a frame where nothing sounds, "
   "without category, score and sides.")
CLUSTERS = Table("clusters", "audio/clusters/*/labels.parquet", (
    CLIP_ID,
    Column("pseudo_label", INT32, description="Number of the cluster, from 0."),
    Column("similarity", FLOAT32,
           description="Cosine similarity to the centre of the cluster (Eq. 6)."),
), description="A training clip, and the cluster of its sound.")
TILES = Table("tiles", "fusion/mosaics/*/tiles.parquet", (
    Column("mosaic_id", TEXT, description="Name of the mosaic: its `clip_id`."),
    Column("tile", INT32, description="Number of the tile, 0 to 3, row by row."),
    CLIP_ID,
    VIDEO_ID,
    FRAME,
    Column("category", TEXT, description="Category of the tile's clip."),
    Column("sounding", pa.bool_(), description="Whether the mosaic contains the tile's sound."),
    Column("gain_db", FLOAT64, description="Gain of the tile's sound in the mosaic, in dB."),
    *BOX,
), description="One of the four tiles of a mosaic; the box is the area of the tile.")
HISTORY = Table("history", "**/history.parquet", (
    Column("epoch", INT32, description="Number of the epoch or iteration, from 0."),
    Column("split", TEXT, description="Split that the value is measured on: `train` or `val`."),
    Column("name", TEXT, description="Name of the value, such as `loss` or `accuracy`."),
    Column("value", FLOAT64, description="The value."),
), description="A value measured in an epoch of a training or in an iteration of k-means.")
MAPS = Table("maps", "fusion/*maps/*/*.parquet", (
    CLIP_ID,
    VIDEO_ID,
    FRAME,
    TIME_S,
    Column("category", TEXT, description="Category of the map, if the run makes a map per "
           "category; null if it makes one map per frame."),
    Column("height", INT32, description="Number of rows of the map."),
    Column("width", INT32, description="Number of columns of the map."),
    # float32: the sigmoid of Eq. 4 is so steep that its small values underflow in float16
    Column("map", pa.list_(FLOAT32), description="Heat in [0, 1], row by row from the top left."),
), description="A heat map of a frame, from a run on a test set; in `baseline_maps` from a "
   "network that is a baseline, in `prior_maps` mixed with the object prior.")
PLAYED_SOUND = Column("sound", TEXT, description="What is heard: " + _values(PlayedSound) + ".")
NEGATIVE_USE = Column("use", TEXT, description="What the frames of the clip are for: "
                      + _values(NegativeUse) + ".")
NEGATIVES = Table("negatives", "fusion/negatives/*.parquet", (
    CLIP_ID,
    VIDEO_ID,
    NEGATIVE_USE,
    PLAYED_SOUND,
    Column("sound_clip_id", TEXT, description="The clip that makes an off-screen sound; null: no "
           "clip makes it."),
    Column("seed", INT64, description="Random seed of a noise; null: it is no noise."),
), description="A clip whose frames are shown with another sound. Clips of mosaics are not listed.")
NEGATIVE_MAPS = Table("negative_maps", "fusion/*maps/*/negatives/*.parquet", (
    CLIP_ID,
    VIDEO_ID,
    FRAME,
    TIME_S,
    NEGATIVE_USE,
    PLAYED_SOUND,
    *MAPS.columns[-3:],
), description="A heat map of a frame that is shown with one of several sounds, on one scale for "
   "all frames: it is not scaled to [0, 1] on its own, as the maps of some methods are.")
SCORES = Table("scores", "score/scores/*/*/*/*.parquet", (
    CLIP_ID,
    VIDEO_ID,
    FRAME,
    Column("categories", TEXTS, description="Categories of the boxes of the frame."),
    Column("iou", FLOAT64, description="Intersection over union, the mean over the frame's "
           "ground truths."),
    Column("nsa", FLOAT64, description="No-sounding area: fraction of the pixels of silent "
           "categories that stay cold; null where it is not defined."),
    Column("pointing_game", FLOAT64, description="Whether the hottest pixel of the map lies in a "
           "box: 1 or 0, the mean over the frame's ground truths; a fraction if several pixels are "
           "the hottest."),
    Column("pixel_ap", FLOAT64, description="Average precision over pixels; null unless the "
           "protocol asks for it."),
), description="The score of a frame, for a run, a test set, a source of boxes and a protocol.")


def spectrograms(dtype: Literal["float16", "float32"]) -> Table:
    """Table of log-mel spectrograms, whose numbers are `float16` or `float32`."""
    values = FRAMES * N_MELS
    # Not a list of numbers: Parquet would encode its 12,864 values one by one, which takes longer
    # than the spectrogram itself.
    bytes_ = pa.binary(values * {"float32": 4, "float16": 2}[dtype])
    return Table("spectrograms", "corpus/spectrograms/*.parquet", (
        CLIP_ID,
        Column("log_mel", bytes_,
               description=f"Log-mel spectrogram in dB: {FRAMES} times × {N_MELS} mel bands, "
               "time by time, float16 (or float32: spectrograms.dtype), little endian."),
    ), description="The spectrogram of a clip, in the order of the rows of `clips`.")


SPECTROGRAMS = spectrograms("float16")
TABLES = (
    LEDGER, VIDEOS, CLIPS, SPECTROGRAMS, INDEX, OPENIMAGES, OPENIMAGES_BOXES, DETECTIONS,
    ANNOTATIONS, CLUSTERS, TILES,
    Table("mosaic_clips", "fusion/mosaics/*/clips/*.parquet", CLIPS.columns,
          description="A mosaic, with its frame and its mixed sound."),
    Table("mosaic_spectrograms", "fusion/mosaics/*/spectrograms/*.parquet", SPECTROGRAMS.columns,
          description="The spectrogram of a mosaic."),
    Table("mosaic_index", "fusion/mosaics/*/index.parquet", INDEX.columns,
          description="A mosaic: its sounding categories and its split."),
    Table("mosaic_boxes", "fusion/mosaics/*/boxes/*.parquet", ANNOTATIONS.columns,
          description="A box of a tile of a mosaic."),
    HISTORY, MAPS, NEGATIVES, NEGATIVE_MAPS, SCORES,
)
# fmt: on


def first_with_columns(table: Table) -> Table:
    """The first of TABLES that has the columns of a table; mosaics have the columns of clips."""
    return next(other for other in TABLES if other.columns is table.columns)
