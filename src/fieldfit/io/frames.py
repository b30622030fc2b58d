"""Blocks of camera frames, whatever the format: TIFF or FITS shots, or rows of HDF5 shot files (docs/formats.md).

A shot that cannot be used is flagged and its reason kept; it never stops its block. Frames are read lazily, a shot a dask chunk,
so that a block of any length passes through calibration in bounded memory.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path

import dask.array as da
import numpy as np
from dask.delayed import delayed

from fieldfit.catalogue import Place, readable_shots
from fieldfit.io.clock import contradicted
from fieldfit.io.exposure import BadFrame, largest
from fieldfit.io.fits import fits_time, read_fits
from fieldfit.io.shot_files import Channel, read_auxiliary, read_row, row_time
from fieldfit.io.tiff import read_tiff, tiff_time
from fieldfit.paths import shot_files_below
from fieldfit.types import InputError, Status

EIGHT_BITS, TWELVE_BITS, LEVELS = 255, 4095, 1 << 16  # largest values of 8 and 12 bits, number of values of 16
LOOKED = 4  # shots at each end of a block whose stamps tell when it was


@dataclass(frozen=True)
class Block:
    """A block of shots as the camera wrote them."""

    shots: tuple[int, ...]  # numbers, ascending
    frames: da.Array  # (shot, view, row, column) [DN], uint16, a shot a chunk, zeros where a shot is flagged and beyond smaller views
    status: np.ndarray  # (shot,) flags
    reasons: tuple[str, ...]  # one line a flagged shot, naming file and view
    time: np.ndarray  # (shot,) [s], NaN where a flagged shot has no stamp though others have
    notes: tuple[str, ...]  # what a user should know, a line each
    adc_step: int  # common step of the values [DN]
    full_scale: int  # largest value [DN]: of 12 bits; of an ADC whose bits are the upper ones of 16 (step above 1); of 8-bit files
    auxiliary: tuple[Channel, ...]  # channels of HDF5 shot files
    files: tuple[Path, ...]  # those that hold one shot each
    source: str  # rows of files that hold many shots, and the SHA-256 over those of the good shots' frames


@dataclass(frozen=True)
class _Look:
    """What is kept of a decoded shot: its type, the step of its values, a checksum, and a note where it was there twice."""

    kind: str
    step: int
    digest: bytes
    note: str


def read_block(
    raw: Path,
    shots: Sequence[int],
    sizes: Sequence[tuple[int, int]],
    form: str = "tiff",
    start: float = 0.0,
    period: float = 1.0,
    adc_step: int | None = None,
) -> Block:
    """The shots of one block.

    raw: folder of the run, or one HDF5 file; shots: their numbers; sizes: (rows, columns) of each sensor; form: tiff, fits or hdf5.
    start, period [s]: times where no shot has a stamp, start + number * period. adc_step [DN]: shots with other values are corrupt.
    Every shot is decoded once here, one at a time, and let go: headers can be whole where the pixels are not.
    A block without a good shot is one like any other, unless it is the whole run.
    Raises InputError when the run has no shots, when every shot of the run is bad, with each one's reason, and for hdf5 of several sizes.
    """
    raw = Path(raw)
    if form == "hdf5" and len(set(sizes)) > 1:
        told = ", ".join(f"{rows} x {columns}" for rows, columns in sizes)
        raise InputError(f"{raw}: hdf5 shot files hold frames of one size, the cameras have {told} pixels: expected tiff or fits")
    run, _ = readable_shots(raw, form)  # a shot of a file that cannot be read any more is missing
    bad: dict[int, BadFrame] = {}
    looks: dict[int, _Look] = {}
    stamps = np.full(len(shots), np.nan)
    for n, shot in enumerate(shots):
        try:
            looks[n] = _look(raw, shot, run.get(shot, ()), form, sizes, adc_step)
        except BadFrame as found:
            bad[n] = found
        try:
            stamps[n] = _time(form, run[shot][0]) if shot in run else np.nan
        except BadFrame as found:
            bad.setdefault(n, found)
    bad |= _odd_depths(run, shots, {n: look.kind for n, look in looks.items() if n not in bad})
    bad |= _mistimed(run, shots, stamps, [n for n in range(len(shots)) if n not in bad])
    reasons = tuple(f"shot {shots[n]} is {bad[n].status.name}: {bad[n]}" for n in sorted(bad))
    good = {n: look for n, look in looks.items() if n not in bad}
    if not good and set(shots) >= set(run):
        raise InputError(f"{raw}: none of the {len(shots)} shots of this block can be read:\n" + "\n".join(reasons))
    step = math.gcd(*(look.step for look in good.values())) or 1
    eight = any(look.kind == "uint8" for look in good.values())
    stamped = any(np.isfinite(stamps[n]) for n in good) or not good  # without a good shot nothing tells whether the run has stamps
    places = [run[shot][0] if shot in run else None for shot in shots]
    auxiliary, left_out = read_auxiliary(places) if form == "hdf5" else ((), ())
    notes = [*(look.note for look in looks.values() if look.note), *_order(raw, run, shots), *_steps(shots, good, step), *left_out]
    notes.append("times: stamps of the files" if stamped else f"times: {start:g} s + shot number x {period:g} s, no stamps")
    digest = hashlib.sha256(b"".join(look.digest for look in good.values())).hexdigest()
    return Block(
        tuple(shots),
        _frames(form, [place if n in good else None for n, place in enumerate(places)], sizes),
        np.array([bad[n].status if n in bad else Status.good for n in range(len(shots))], np.int8),
        reasons,
        stamps if stamped else start + np.array(shots) * period,
        tuple(notes),
        step,
        EIGHT_BITS if eight else TWELVE_BITS if step == 1 else LEVELS - step,
        auxiliary,
        tuple(place.path for place in places if place and place.row is None),
        f"{_rows([place for place in places if place])}sha256:{digest}",
    )


def span_of(run: Mapping[int, Sequence[Place]], shots: Sequence[int], form: str, start: float = 0.0, period: float = 1.0) -> tuple[float, float]:
    """First and last time [s] that a block's good shots can have: two stamps at each end, or by the numbers where the ends have none.

    A stamp against the order of the shots flags its shot, so that what lies between needs no look; two, since one of them may be wrong.
    run: places of the shots by number; shots: those of the block.
    """
    found: list[float] = []
    for ends in (shots[:LOOKED], shots[: -LOOKED - 1 : -1]):
        stamped = (stamp for shot in ends if shot in run and math.isfinite(stamp := _stamp(form, run[shot][0])))
        found += islice(stamped, 2)
    times = found or [start + shot * period for shot in shots]
    return min(times), max(times)


def _stamp(form: str, place: Place) -> float:
    """Time stamp [s], NaN where there is none that can be read."""
    try:
        return _time(form, place)
    except BadFrame:
        return math.nan


def read_shot(place: Place, form: str, sizes: Sequence[tuple[int, int]]) -> np.ndarray:
    """(view, row, column) frames of one shot as its file holds them. Raises BadFrame for one that a block would flag."""
    return _read(form, place, sizes)


def step_of(frames: np.ndarray) -> int:
    """Greatest common divisor of the values: 1 for a common ADC, 16 for 12 bits kept in the upper ones of 16, 0 where all are 0."""
    present = np.zeros(np.iinfo(frames.dtype).max + 1, bool)
    present[frames.reshape(-1)] = True
    return int(np.gcd.reduce(np.flatnonzero(present)))


def _read(form: str, place: Place, sizes: Sequence[tuple[int, int]]) -> np.ndarray:
    """(view, row, column) of one shot as its file holds it. Raises BadFrame."""
    if place.row is not None:
        return read_row(place.path, place.row, largest(sizes))
    return read_fits(place.path, sizes) if form == "fits" else read_tiff(place.path, sizes)


def _time(form: str, place: Place) -> float:
    """Time stamp of one shot [s], NaN where it has none. Raises BadFrame."""
    if place.row is not None:
        return row_time(place.path, place.row)
    return fits_time(place.path) if form == "fits" else tiff_time(place.path)


def _look(raw: Path, shot: int, places: Sequence[Place], form: str, sizes: Sequence[tuple[int, int]], adc_step: int | None) -> _Look:
    """A shot that is there once, or more than once with the same frames and time. Raises BadFrame."""
    if not places:
        expected = {"tiff": f"shot{shot:03d} or shot{shot:03d}.tif", "fits": f"shot{shot:03d}.fits", "hdf5": "it in a dataset 'shot'"}[form]
        raise BadFrame(Status.missing, f"{raw}: shot {shot} is missing, expected {expected}")
    frames = _read(form, places[0], sizes)
    for other in places[1:]:
        what = "" if np.array_equal(frames, _read(form, other, sizes)) else "frames"
        times = _time(form, places[0]), _time(form, other)
        what = what or ("" if np.array_equal(*times, equal_nan=True) else "time stamps")
        if what:
            raise BadFrame(Status.corrupt, f"{places[0]} and {other} have the same number and other {what}, expected one of them")
    note = ""
    if places[1:]:
        note = f"shot {shot} is there {len(places)} times with the same frames: {places[0]} is taken, {', '.join(map(str, places[1:]))} left"
    for view, frame in enumerate(frames):
        if adc_step and step_of(frame) % adc_step:
            raise BadFrame(
                Status.corrupt, f"{places[0]}: view {view} has values in steps of {step_of(frame)}, expected multiples of adc_step {adc_step}"
            )
    return _Look(str(frames.dtype), step_of(frames), hashlib.sha256(frames.tobytes()).digest(), note)


def _odd_depths(run: Mapping[int, Sequence[Place]], shots: Sequence[int], kinds: Mapping[int, str]) -> dict[int, BadFrame]:
    """Shots of another depth than most of the block."""
    if len(set(kinds.values())) < 2:
        return {}
    usual = max(Counter(kinds.values()).items(), key=lambda item: (item[1], item[0]))[0]
    return {
        n: BadFrame(Status.corrupt, f"{run[shots[n]][0]}: view 0 has type {kind}, most shots of the block have {usual}")
        for n, kind in kinds.items()
        if kind != usual
    }


def _mistimed(run: Mapping[int, Sequence[Place]], shots: Sequence[int], stamps: np.ndarray, good: Sequence[int]) -> dict[int, BadFrame]:
    """Shots without a stamp where others have one, and those whose stamps contradict the order of the numbers."""
    stamped = [n for n in good if np.isfinite(stamps[n])]
    if not stamped:
        return {}
    found = {
        n: BadFrame(Status.mistimed, f"{run[shots[n]][0]} has no time stamp, others of the block have") for n in good if not np.isfinite(stamps[n])
    }
    for place, why in contradicted([shots[n] for n in stamped], [stamps[n] for n in stamped]).items():
        found[stamped[place]] = BadFrame(Status.mistimed, f"{run[shots[stamped[place]]][0]}: {why}")
    return found


def _order(raw: Path, run: Mapping[int, Sequence[Place]], shots: Sequence[int]) -> list[str]:
    """Numbers left out since the shot before, and rows whose order is not that of the numbers."""
    notes = []
    before = [number for number in run if number < min(shots, default=0)][-1:]
    present = [*before, *(shot for shot in shots if shot in run)]
    dropped = sum(later - earlier - 1 for earlier, later in pairwise(present))
    if dropped:
        notes.append(f"{dropped} shot numbers between {present[0]} and {present[-1]} have no frames: dropped by the data acquisition")
    rows = [(run[shot][0], shot) for shot in shots if shot in run and run[shot][0].row is not None]
    files = {path: n for n, path in enumerate(shot_files_below(raw))} if rows else {}
    turned = [
        f"shot {shot} ({place}) lies behind shot {after} ({later})"
        for (place, shot), (later, after) in pairwise(rows)
        if (files[place.path], place.row) > (files[later.path], later.row)
    ]
    if turned:
        notes.append(f"out of order in {len(turned)} places, sorted by number: {turned[0]}")
    return notes


def _rows(places: Sequence[Place]) -> str:
    """`night.h5 rows 0 to 63 ` for each file that holds many shots."""
    rows: dict[Path, list[int]] = {}
    for place in places:
        if place.row is not None:
            rows.setdefault(place.path, []).append(place.row)
    return "".join(f"{path.name} rows {min(found)} to {max(found)} " for path, found in rows.items())


def _steps(shots: Sequence[int], good: Mapping[int, _Look], step: int) -> list[str]:
    """What the step of the values is, and shots that differ."""
    notes = [f"values are multiples of {step} DN" + (f": an ADC whose bits are the upper ones of 16 ends at {LEVELS - step} DN" if step > 1 else "")]
    combs = [shots[n] for n, look in good.items() if look.step > 1]
    if step == 1 and combs:
        notes.append(f"values of shots {', '.join(map(str, combs))} have a larger step, those of the block's other shots have not")
    return notes


def _frames(form: str, places: Sequence[Place | None], sizes: Sequence[tuple[int, int]]) -> da.Array:
    shape = largest(sizes)
    empty = da.zeros(shape, dtype=np.uint16, chunks=shape)
    parts = [da.from_delayed(delayed(_sixteen_bits, pure=True)(form, place, sizes), shape, dtype=np.uint16) if place else empty for place in places]
    return da.stack(parts)


def _sixteen_bits(form: str, place: Place, sizes: Sequence[tuple[int, int]]) -> np.ndarray:
    return _read(form, place, sizes).astype(np.uint16)
