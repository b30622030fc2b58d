"""Words that every room shares: the error a user sees, and the flags a shot or a voxel can carry."""

import difflib
from collections.abc import Iterable
from enum import IntEnum
from typing import Literal

Optics = Literal["auto", "pinhole", "defocus", "diffraction"]  # which blurs images hold: geometry.blur


LONGEST_LINE, HALF = 2000, 900  # characters of a message


class InputError(ValueError):
    """Bad input, told in one message: which file, shot, view, branch or key; what was found; what was expected.

    The steps print its text alone, without a traceback, and leave no product behind. A line that quotes something long is cut in its middle.
    """

    def __init__(self, text: str) -> None:
        super().__init__("\n".join(line if len(line) <= LONGEST_LINE else f"{line[:HALF]} ... {line[-HALF:]}" for line in text.split("\n")))


class Status(IntEnum):
    """Flag of one shot. A flagged shot stays in its product, in order, with NaN for values."""

    good = 0
    missing = 1
    weak = 2
    empty = 3
    saturated = 4
    corrupt = 5
    not_converged = 6
    mistimed = 7  # its time stamp contradicts the order of the shots, cannot be read, or is absent among stamped ones
    uncalibrated = 8  # no calibration of the sensors covers its time
    outside = 9  # the cloud reaches beyond the field that all views share
    misaligned = 10  # a view does not show the cloud where the others do
    unprocessed = 11  # received, and not in the run's product (yet): its block failed, or it came late


class VoxelQuality(IntEnum):
    """Flag of one (channel, voxel) of an optical library."""

    good = 0
    absent = 1  # no row in the file: LArSoft does not write zeros
    masked = 2  # filled from its neighbours, not trusted


class FlashStatus(IntEnum):
    """Flag of one flash. A dark one has NaN for values."""

    good = 0
    dark = 1  # no light in any live channel
    at_face = 2  # the best place is on a face of the box: the flash may lie outside, its error is no Gaussian
    unlikely = 3  # no single place explains the light


def nearest(word: str, known: Iterable[str]) -> str:
    """`"; did you mean 'x'?"` for the closest known name, or the empty string when nothing is close."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else ""
