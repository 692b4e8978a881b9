"""Evaluation protocols: the rules that turn a heat map and the boxes of a frame into one score.

The same maps score 15 % or 40 %, depending on the protocol. Every score therefore carries the name
of its protocol. docs/protocols.md says who uses which protocol, and which test proves it.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from spm.base.errors import UserError
from spm.base.words import one_of
from spm.boxes.formats.frames import Form


class Rule(StrEnum):
    """Where the threshold of a map comes from."""

    MAXIMUM = "maximum"  # a fraction of the map's maximum
    VALUE = "value"  # a fixed value
    RANK = "rank"  # a pixel of the sorted map
    TRUTH_AREA = "truth-area"  # the pixel that makes the foreground as large as the truth


class Normalize(StrEnum):
    """How a resized map is normalized before the threshold."""

    NONE = "none"
    MINMAX = "minmax"
    MINMAX_OF_NEGATIVE = "minmax-of-negative"  # 1 - minmax(-map): rounds differently from minmax


class Merge(StrEnum):
    """Which boxes of a frame are united into one truth."""

    FRAME = "frame"
    CLASS = "class"


class EmptyTruth(StrEnum):
    """What happens to a frame whose boxes cover no pixel."""

    LEFT_OUT = "left-out"
    MISSED = "missed"  # it scores 0


class Resize(StrEnum):
    """How a map is resized to the raster."""

    BILINEAR = "bilinear"  # half-pixel centres
    BICUBIC_CORNERS = "bicubic-corners"  # aligned corners


class Precision(StrEnum):
    """Which average precision of the pixels is computed."""

    NONE = "none"
    PIXELS = "pixels"  # the map ranks the pixels, the truth is what to find
    SWAPPED = "swapped"  # arguments swapped: the truth ranks the pixels, the foreground is to find


@dataclass(frozen=True)
class Protocol:
    """What happens to one map and the boxes of one frame.

    `level` depends on the rule: a fraction of the maximum, the value itself, or the fraction of the
    sorted pixels below the threshold; truth-area ignores it.
    """

    name: str
    source: str
    rule: Rule
    level: float
    strict: bool  # foreground is above the threshold; otherwise also at it
    normalize: Normalize = Normalize.NONE
    peak: bool = False  # pixels at the maximum are foreground, whatever the threshold
    merge: Merge = Merge.FRAME
    box_form: Form | None = None  # reads every box in this form, whatever its own; None: its own
    empty_truth: EmptyTruth = EmptyTruth.LEFT_OUT
    resize: Resize = Resize.BILINEAR
    raster_px: int = 224  # width and height to which maps are resized and on which boxes are drawn
    auc_steps: int = 20  # number of equal steps of the IoU threshold from 0 to 1
    iou_at: float = 0.5
    ciou_at: float = 0.3
    strict_success: bool = False  # success is an IoU above iou_at or ciou_at; otherwise also at it
    nsa_at: float | None = None  # class maps only: a silent class's pixel is inactive up to here
    precision: Precision = Precision.NONE

    @property
    def class_aware(self) -> bool:
        """Whether each sounding class of a frame is a truth of its own."""
        return self.merge == Merge.CLASS

    @property
    def pass_key(self) -> tuple[object, ...]:
        """What decides the scored frames, truths and pixels: equal keys share one pass."""
        return self.merge, self.box_form, self.empty_truth, self.resize, self.raster_px


DSOL = "Hu et al., NeurIPS 2020, music-exp"
AVGN = "Mo and Tian, CVPR 2023"

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "spm-paper",
            "Eq. 7 of SPM; the paper gives no threshold, so that of DSOL's single map is used",
            rule=Rule.MAXIMUM, level=0.1, strict=True, merge=Merge.CLASS, nsa_at=0.2,
        ),
        Protocol(
            "dsol-solo", f"{DSOL}/tools.py", rule=Rule.MAXIMUM, level=0.1, strict=True,
        ),
        Protocol(
            "dsol-duet", f"{DSOL}/eval_duet.py",
            rule=Rule.MAXIMUM, level=0.2, strict=True, merge=Merge.CLASS, nsa_at=0.2,
        ),
        Protocol(
            "dsol-synthetic", f"{DSOL}/eval.py",
            rule=Rule.MAXIMUM, level=0.5, strict=True, merge=Merge.CLASS, nsa_at=0.2,
        ),
        Protocol(
            "lvs", "Chen et al., CVPR 2021, test.py",
            rule=Rule.RANK, level=0.5, strict=True, normalize=Normalize.MINMAX_OF_NEGATIVE,
            peak=True,
        ),
        Protocol(
            "ez-vsl", "Mo and Morgado, ECCV 2022, utils.py; also SLAVC and FNAC",
            rule=Rule.RANK, level=0.5, strict=False, normalize=Normalize.MINMAX,
        ),
        Protocol(
            "sspl", "Song et al., CVPR 2022, sspl_w_pcm/test.py",
            rule=Rule.VALUE, level=0.5, strict=False, normalize=Normalize.MINMAX,
        ),
        Protocol(
            "adaptive", "Senocak et al., ICCV 2023 (SSLalignment), test.py: cIoU_adap",
            rule=Rule.TRUTH_AREA, level=0.5, strict=True, normalize=Normalize.MINMAX_OF_NEGATIVE,
        ),
        Protocol(
            "avgn",
            f"{AVGN}, as the paper describes it: boxes as x, y, w, h, precision as scikit-learn's",
            rule=Rule.RANK, level=0.5, strict=False, normalize=Normalize.MINMAX,
            resize=Resize.BICUBIC_CORNERS, merge=Merge.CLASS, strict_success=True,
            precision=Precision.PIXELS,
        ),
        Protocol(
            "avgn-as-coded",
            f"{AVGN}, utils.py and datasets.py: x, y, w, h read as two corners, precision swapped",
            rule=Rule.RANK, level=0.5, strict=False, normalize=Normalize.MINMAX,
            resize=Resize.BICUBIC_CORNERS, merge=Merge.CLASS, box_form="xyxy",
            empty_truth=EmptyTruth.MISSED, strict_success=True, precision=Precision.SWAPPED,
        ),
    )
}  # fmt: skip


def find(name: str) -> Protocol:
    """Return the protocol of that name.

    Raises
    ------
    UserError
        If no protocol has that name; the message lists the names.
    """
    if name not in PROTOCOLS:
        raise UserError(f"unknown protocol {name!r}: {one_of(name, PROTOCOLS)}")
    return PROTOCOLS[name]


def _check_name(name: str) -> str:
    """The name of a protocol in a section of the config."""
    try:
        return find(name).name
    except UserError as error:
        raise ValueError(str(error)) from error  # which pydantic expects


ProtocolName = Annotated[
    str, AfterValidator(_check_name), Field(json_schema_extra={"enum": list(PROTOCOLS)})
]
