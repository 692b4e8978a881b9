"""Colors of HDR and of BT.2020 as an SDR screen shows them, as three tables for ffmpeg.

The rule: light up to the reference white of HDR (203 cd/m², ITU-R BT.2408) is shown as it is, and
brighter light as white. Colors outside of BT.709 are clipped. The screen has the gamma 2.4 of
BT.1886. Only filters that every ffmpeg has are used: `lut1d` makes light of a signal, `lut3d`
converts its colors, and `lut1d` makes the screen's signal of it.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
POINTS = 4097  # of the tables with one dimension
COLOR_POINTS = 9  # of the table of colors, per axis: the conversion is linear
WHITE_CD_M2 = 203.0  # of HDR: BT.2408
HLG_PEAK_CD_M2 = 1000.0  # of the nominal screen of BT.2100
HLG_GAMMA = 1.2  # of its system
SCREEN_GAMMA = 2.4  # BT.1886
HEADROOM = 5.0  # light above this multiple of white is clipped before its colors are converted
NEGATIVE = 1.0  # the largest negative light, of colors outside of BT.709, between both tables
TO_BT709 = np.array(  # linear light, from BT.2020: BT.2087
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
)
# Codes of 10 bits can't tell colors at the border of BT.709 from their neighbors by this much.
SATURATION = 1.02


def pq_light(signal: Values) -> Values:
    """Light, as a multiple of white, of a PQ signal in [0, 1] (SMPTE ST 2084)."""
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    power = signal ** (1 / m2)
    light = (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
    return np.asarray(10_000 / WHITE_CD_M2 * light)


def hlg_light(signal: Values) -> Values:
    """Light, as a multiple of white, of an HLG signal in [0, 1] (BT.2100).

    The gamma of the nominal screen acts on each channel, as in ffmpeg's `zscale`.
    """
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    return np.asarray(HLG_PEAK_CD_M2 / WHITE_CD_M2 * scene**HLG_GAMMA)


def sdr_light(signal: Values) -> Values:
    """Light of an SDR signal in [0, 1]."""
    return np.asarray(signal**SCREEN_GAMMA)


LIGHT = {"pq": pq_light, "hlg": hlg_light, "sdr": sdr_light}


def convert(light: Values) -> Values:
    """Light (…, 3) in BT.709 of light (…, 3) in BT.2020."""
    linear = light @ TO_BT709.T
    return np.asarray(SATURATION * linear + (1 - SATURATION) * linear.mean(-1, keepdims=True))


def to_screen(light: Values) -> Values:
    """The SDR signal in [0, 1] of light as a multiple of white."""
    return np.asarray(np.clip(light, 0, 1) ** (1 / SCREEN_GAMMA))


def write_tables(folder: Path, transfer: str) -> None:
    """Write the tables (.cube files) of `table_paths`."""
    first, colors, last = table_paths(folder)
    signal = np.linspace(0, 1, POINTS)
    light = LIGHT[transfer](signal) / HEADROOM
    _write(first, f"LUT_1D_SIZE {POINTS}", light[:, None].repeat(3, axis=1))
    axis = np.linspace(0, HEADROOM, COLOR_POINTS)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")  # red changes fastest
    converted = convert(np.stack([red, green, blue], -1).reshape(-1, 3))
    _write(colors, f"LUT_3D_SIZE {COLOR_POINTS}", (converted + NEGATIVE) / (HEADROOM + NEGATIVE))
    shown = to_screen(signal * (HEADROOM + NEGATIVE) - NEGATIVE)
    _write(last, f"LUT_1D_SIZE {POINTS}", shown[:, None].repeat(3, axis=1))


def table_paths(folder: Path) -> list[Path]:
    """Files of the three tables: of one, three and one dimensions."""
    return [folder / f"{name}.cube" for name in ("light", "colors", "screen")]


def _write(path: Path, header: str, values: Values) -> None:
    np.savetxt(path, np.clip(values, 0, 1), fmt="%.7f", header=header, comments="")
