"""Evaluation protocols: how a heat map and the boxes of a frame become one score, by name.

A protocol is data. The same maps score 15 % or 40 % depending on it, so every score carries its protocol's name;
docs/protocols.md says who uses which.
"""

from dataclasses import dataclass
from typing import Literal

from spm.base.config import UserError

Form = Literal[
    "xywh", "xyxy"
]  # what the four numbers of a box are: corner and size, or two corners


Rule = Literal["maximum", "value", "rank", "truth-area"]  # where the threshold of a map comes from
Normalize = Literal["none", "minmax", "minmax-of-negative"]


@dataclass(frozen=True)
class Protocol:
    """What happens to one map and the boxes of one frame."""

    name: str
    source: str
    rule: Rule
    level: float  # maximum: fraction of the map's maximum; value: itself; rank: fraction of its sorted pixels
    strict: bool  # foreground is above the threshold; otherwise also at it
    normalize: Normalize = "none"  # before the threshold, after resizing
    peak: bool = False  # pixels at the maximum count, wherever the threshold is
    merge: Literal["frame", "class"] = "frame"  # which boxes of a frame are united to one truth
    boxes: Form | None = (
        None  # how the numbers of boxes are read, whatever they are; None: as what they are
    )
    empty: Literal["left-out", "missed"] = "left-out"  # a frame whose boxes cover no pixel
    resize: Literal["bilinear", "bicubic-corners"] = (
        "bilinear"  # half-pixel centres, or corners aligned
    )
    raster_px: int = 224  # maps are resized to it and boxes drawn on it
    auc_steps: int = 20  # of the IoU thresholds 0 … 1 under whose success rates the area is taken
    iou_at: float = 0.5
    ciou_at: float = 0.3
    beyond: bool = False  # a frame must exceed iou_at and ciou_at; otherwise it may also meet them
    nsa_at: float | None = None  # class-aware maps only: a silent class's pixel is dark up to here
    precision: Literal["none", "pixels", "swapped"] = (
        "none"  # pixel AP: of the map; or arguments swapped, binarised
    )

    @property
    def class_aware(self) -> bool:
        """Whether each sounding class of a frame is a truth of its own."""
        return self.merge == "class"

    @property
    def sees(self) -> tuple[object, ...]:
        """What decides which frames, truths and pixels it looks at: protocols alike in this share a pass."""
        return self.merge, self.boxes, self.empty, self.resize, self.raster_px


DSOL = "Hu et al., NeurIPS 2020, music-exp"
AVGN = "Mo and Tian, CVPR 2023"

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "spm-paper",
            "Eq. 7 of SPM, which names no threshold: that of DSOL, its basis, for one map a frame",
            rule="maximum", level=0.1, strict=True, merge="class", nsa_at=0.2,
        ),
        Protocol("dsol-solo", f"{DSOL}/tools.py", rule="maximum", level=0.1, strict=True),
        Protocol(
            "dsol-duet", f"{DSOL}/eval_duet.py",
            rule="maximum", level=0.2, strict=True, merge="class", nsa_at=0.2,
        ),
        Protocol(
            "dsol-synthetic", f"{DSOL}/eval.py",
            rule="maximum", level=0.5, strict=True, merge="class", nsa_at=0.2,
        ),
        Protocol(
            "lvs", "Chen et al., CVPR 2021, test.py",
            rule="rank", level=0.5, strict=True, normalize="minmax-of-negative", peak=True,
        ),
        Protocol(
            "ez-vsl", "Mo and Morgado, ECCV 2022, utils.py; also SLAVC and FNAC",
            rule="rank", level=0.5, strict=False, normalize="minmax",
        ),
        Protocol(
            "sspl", "Song et al., CVPR 2022, sspl_w_pcm/test.py",
            rule="value", level=0.5, strict=False, normalize="minmax",
        ),
        Protocol(
            "adaptive", "Senocak et al., ICCV 2023 (SSLalignment), test.py: cIoU_adap",
            rule="truth-area", level=0.5, strict=True, normalize="minmax-of-negative",
        ),
        Protocol(
            "avgn", f"{AVGN}: what its paper describes, with boxes and precision read as meant",
            rule="rank", level=0.5, strict=False, normalize="minmax", resize="bicubic-corners",
            merge="class", beyond=True, precision="pixels",
        ),
        Protocol(
            "avgn-as-coded", f"{AVGN}, utils.py and datasets.py: x, y, w, h read as two corners, precision swapped",
            rule="rank", level=0.5, strict=False, normalize="minmax", resize="bicubic-corners",
            merge="class", boxes="xyxy", empty="missed", beyond=True, precision="swapped",
        ),
    )
}  # fmt: skip


def named(name: str) -> Protocol:
    """Return the protocol of that name.

    Raises
    ------
    UserError
        If there is none; the message lists those there are.
    """
    if name not in PROTOCOLS:
        raise UserError(f"unknown protocol {name!r}: one of {', '.join(PROTOCOLS)} expected")
    return PROTOCOLS[name]
