"""One shot that cannot be used, and what every format's reader asks of a view."""

from collections.abc import Sequence

import numpy as np

from fieldfit.types import InputError, Status


class BadFrame(InputError):
    """A shot that cannot be used: its flag and the reason. The block flags the shot and goes on."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def check_view(where: str, found: tuple[int, ...], kind: object, shape: tuple[int, ...]) -> None:
    """Raise BadFrame unless a view has the camera's (row, column) and 8 or 16 bits without sign. where: file and view."""
    if found != shape:
        raise BadFrame(Status.corrupt, f"{where} has shape {found}, expected {shape} from the camera description")
    if kind not in (np.dtype(np.uint8), np.dtype(np.uint16)):
        raise BadFrame(Status.corrupt, f"{where} has type {kind}, expected uint8 or uint16")


def largest(sizes: Sequence[tuple[int, int]]) -> tuple[int, int, int]:
    """(view, row, column) of an array that holds views of these (rows, columns)."""
    return len(sizes), max(rows for rows, _ in sizes), max(columns for _, columns in sizes)


def stacked(frames: Sequence[np.ndarray]) -> np.ndarray:
    """(view, row, column) of frames of one type; smaller ones are filled up with zeros at the far edges."""
    whole = np.zeros(largest([(frame.shape[0], frame.shape[1]) for frame in frames]), frames[0].dtype)
    for place, frame in zip(whole, frames, strict=True):
        place[: frame.shape[0], : frame.shape[1]] = frame
    return whole


def told(error: Exception) -> str:
    """First line of an error."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__
