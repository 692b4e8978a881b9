"""The named benchmark sets: where their files are published, and how they are read.

Files come from a pinned address and are checked by their sha256. A set whose annotations have no
lasting address needs a local copy, a folder that the user names: `flickr=annotations/`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from spm.boxes.formats import dsol, flickr, frame_lists, sslalignment, vggss
from spm.boxes.formats.frames import BenchmarkBoxes


class PublishedFile(NamedTuple):
    """Address and digest of a published file."""

    url: str
    sha256: str


class BenchmarkSet(NamedTuple):
    """A named set."""

    read: Callable[..., BenchmarkBoxes]  # its arguments: the paths of the files, the local folder
    files: tuple[PublishedFile, ...]
    folder: str = ""  # content of the local folder; empty: the set needs none
    protocols: tuple[str, ...] = ("ez-vsl", "adaptive")  # under which papers report it
    maps_of: str = ""  # the set whose maps serve this one, because its frames have the same keys
    pairs: bool = False  # whether the frames of a video are one picture with several sounds


_RAW = "https://raw.githubusercontent.com"
_DSOL = (
    f"{_RAW}/DTaoo/Discriminative-Sounding-Objects-Localization/"
    "7f402071e2d654e4ff82791bfb3d5218f19f20df"
)
_LVS = (
    f"{_RAW}/hche11/Localizing-Visual-Sounds-the-Hard-Way/8fe8cbbf810e804cf8cc9b244bb5d77ec8aa8315"
)
_SSL = f"{_RAW}/kaistmm/SSLalignment/e7ae3c5518e5a4d911c49e034d906612cf922aff/metadata"
_TVSL = f"{_RAW}/enyac-group/T-VSL/2cddbbb07f03fe89f2ff0295730da55ba0fa8c45/metadata"

_SOLO = PublishedFile(
    f"{_DSOL}/music-exp/solotest.json",
    "57fb92b151f7306869f4f3395237d052395885dca226138539e93f72a952faa4",
)
_DUET = PublishedFile(
    f"{_DSOL}/music-exp/duettest.json",
    "d9f0a4faa8bebf3e281ea05d04597bf4070c2210aad137322d96d79c9d155fdd",
)
_AUDIOSET = PublishedFile(
    f"{_DSOL}/audioset-instrument/audioset_box.json",
    "fa9f78ce83c1544ea780df6e4adb321ed34bd485f683f548b6f117add3417b74",
)
_VGG_SS = PublishedFile(
    f"{_LVS}/metadata/vggss.json",
    "ae300b4a259267e6fe839970d495862edd70bfe3da63d925bcdb34054ed3b15e",
)
_VGG_SS_HEARD = PublishedFile(
    f"{_SSL}/vggss_heard_test.csv",
    "70a01c6828e7b84531823616ebb2e32e75bbaf5e44c715fa366b61111ab33c4e",
)
_VGG_SS_UNHEARD = PublishedFile(
    f"{_SSL}/vggss_unheard_test.csv",
    "11883813db359df63e1a28f69bb53e1ceef7f5b8d68e0149de5792540acb9e17",
)
_VGG_SS_NEGATIVES = PublishedFile(
    f"{_SSL}/vggss_test_plus_silent.csv",
    "905a009428e16d1108e5af112d8e682dbe1702a2ed897b3d56753ff587018e4e",
)
_FLICKR = PublishedFile(
    f"{_SSL}/flickr_test.csv",
    "238dbe3d91befda692b9b8a9a1a0c2e14b1642de0801c8459adf59ae7f11f268",
)
_FLICKR_249 = PublishedFile(
    f"{_SSL}/flickr_test_249.csv",
    "faf5465bdb991cfb7506ccadef64dfea9e9bceb47e895d0e4dbdc2a0ca622871",
)
_FLICKR_NEGATIVES = PublishedFile(
    f"{_SSL}/flickr_test_plus_silent.csv",
    "45a0d32b64a9ef9e567d3eaf4a4a29683cdb0f7f4e1924a0e26cde24fa298643",
)
_IS3 = PublishedFile(
    f"{_SSL}/synthetic3240_bbox.json",
    "fb0314fcc42e8bfdcfb24115e4cbbbbdfa2e0a53d59ca424c5308c0147ecde34",
)
_IS3_MASKS = PublishedFile(
    f"{_SSL}/synthetic3240_seg.json",
    "310ed6cbcf0d579f948d022a83103e8522e25d7d8114f4dd5023dd17b4e9919b",
)
_VPO_SS = PublishedFile(
    f"{_SSL}/vpo_ss_bbox.json",
    "bb6e957d0da2034669e3a54ef91124a09c9b89034ddfa47a56de9d023d09c734",
)
_VPO_SS_MASKS = PublishedFile(
    f"{_SSL}/vpo_ss_seg.json",
    "5e6ad3c49f9262af94013a23b6d4952e53fc661f9f8aee3bde237c5122b2fb26",
)
_VPO_MS = PublishedFile(
    f"{_SSL}/vpo_ms_bbox.json",
    "7974e4c491b7216f3a0c0a3b773f58b33eada5b8c5b64b46a0e607ceeef3608d",
)
_VPO_MS_MASKS = PublishedFile(
    f"{_SSL}/vpo_ms_seg.json",
    "6b6a01400e8a8b72449a81000c6e24703060f0e257f634a67aeac9c49e38585d",
)
_S4 = PublishedFile(
    f"{_SSL}/s4_box.json",
    "67da965929c03af6bf4709040d944b5d22daef489e0a7bb2ba3a486ac732b301",
)
_S4_MASKS = PublishedFile(
    f"{_SSL}/s4_seg.json",
    "3fc71647e1295b52dfeb94c7550ce1335f48152c30a074e990b1b3b0c1e46ed0",
)
_MS3 = PublishedFile(
    f"{_SSL}/ms3_box.json",
    "9453e0b0822c111cdfc2cde39d54b274cd9c08134a11815c9818bc199ea8d3e7",
)
_MS3_MASKS = PublishedFile(
    f"{_SSL}/ms3_seg.json",
    "bcb31b811b34edaac0f0bee23726e733f52b41e39216f8d3ef2ea1811a299935",
)
_VGG_SOUND_SINGLE = PublishedFile(
    f"{_TVSL}/vggsound_single_test.csv",
    "524511f56934441ad86f0cef16b1cb6bd9367c91d963adbca6240b4de30845cc",
)
_VGG_SOUND_DUET = PublishedFile(
    f"{_TVSL}/vggsound_duet_test.csv",
    "3e212fb1ac3f7f8d71ca6fdff81aa7a3d1e1908d98f946aa644b7d213df730a6",
)
_VGG_INSTRUMENTS = PublishedFile(
    f"{_TVSL}/vgginstruments_test.csv",
    "93b96403745cd9c5063517bb539b753fe378b25635ab97eca28689a916d59276",
)


def _vgg_ss_listed(boxes: Path, frames: Path) -> BenchmarkBoxes:
    return frame_lists.keep(vggss.read(boxes), frames)


def _vgg_ss_negatives(boxes: Path, frames: Path) -> BenchmarkBoxes:
    return frame_lists.add_negatives(vggss.read(boxes), frames)


def _vgg_sound_duet(boxes: Path, frames: Path) -> BenchmarkBoxes:
    return frame_lists.duets(vggss.read(boxes), frames)


def _flickr(frames: Path, annotations: Path) -> BenchmarkBoxes:
    return frame_lists.keep(flickr.read(annotations), frames)


def _flickr_negatives(frames: Path, negatives: Path, annotations: Path) -> BenchmarkBoxes:
    return frame_lists.add_negatives(_flickr(frames, annotations), negatives)


_ANNOTATIONS = "the annotations of Flickr-SoundNet, an XML file per image"
_COPY = "the data set, with its masks"
_DSOL_SOLO, _DSOL_DUET = ("dsol-solo", "spm-paper"), ("dsol-duet", "spm-paper")

SETS = {
    "dsol-solo": BenchmarkSet(dsol.read, (_SOLO,), protocols=_DSOL_SOLO),
    "dsol-duet": BenchmarkSet(dsol.read, (_DUET,), protocols=_DSOL_DUET),
    "dsol-audioset": BenchmarkSet(dsol.read, (_AUDIOSET,), protocols=_DSOL_DUET),
    "vgg-ss": BenchmarkSet(vggss.read, (_VGG_SS,)),
    "vgg-ss-heard": BenchmarkSet(_vgg_ss_listed, (_VGG_SS, _VGG_SS_HEARD), maps_of="vgg-ss"),
    "vgg-ss-unheard": BenchmarkSet(_vgg_ss_listed, (_VGG_SS, _VGG_SS_UNHEARD), maps_of="vgg-ss"),
    "vgg-ss-plus-silent": BenchmarkSet(_vgg_ss_negatives, (_VGG_SS, _VGG_SS_NEGATIVES)),
    "vgg-sound-single": BenchmarkSet(
        _vgg_ss_listed, (_VGG_SS, _VGG_SOUND_SINGLE), protocols=("avgn",), maps_of="vgg-ss"
    ),
    "vgg-sound-duet": BenchmarkSet(
        _vgg_sound_duet, (_VGG_SS, _VGG_SOUND_DUET), protocols=("avgn",)
    ),
    "vgg-instruments": BenchmarkSet(
        frame_lists.masks_of, (_VGG_INSTRUMENTS,), "the masks, an image per sample", ("avgn",)
    ),
    "flickr": BenchmarkSet(_flickr, (_FLICKR,), _ANNOTATIONS),
    "flickr-249": BenchmarkSet(_flickr, (_FLICKR_249,), _ANNOTATIONS, maps_of="flickr"),
    "flickr-plus-silent": BenchmarkSet(
        _flickr_negatives, (_FLICKR, _FLICKR_NEGATIVES), _ANNOTATIONS
    ),
    "is3": BenchmarkSet(sslalignment.read, (_IS3,), pairs=True),
    "vpo-ss": BenchmarkSet(sslalignment.read, (_VPO_SS,)),
    "vpo-ms": BenchmarkSet(sslalignment.read, (_VPO_MS,)),
    "avsbench-s4": BenchmarkSet(sslalignment.read, (_S4,)),
    "avsbench-ms3": BenchmarkSet(sslalignment.read, (_MS3,)),
    "is3-masks": BenchmarkSet(
        sslalignment.read_masks, (_IS3_MASKS,), _COPY, maps_of="is3", pairs=True
    ),
    "vpo-ss-masks": BenchmarkSet(
        sslalignment.read_masks, (_VPO_SS_MASKS,), _COPY, maps_of="vpo-ss"
    ),
    "vpo-ms-masks": BenchmarkSet(
        sslalignment.read_masks, (_VPO_MS_MASKS,), _COPY, maps_of="vpo-ms"
    ),
    "avsbench-s4-masks": BenchmarkSet(
        sslalignment.read_masks, (_S4_MASKS,), _COPY, maps_of="avsbench-s4"
    ),
    "avsbench-ms3-masks": BenchmarkSet(
        sslalignment.read_masks, (_MS3_MASKS,), _COPY, maps_of="avsbench-ms3"
    ),
}
