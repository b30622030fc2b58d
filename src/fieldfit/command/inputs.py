"""The raw files of each entry, looked at through the readers: headers, numbers and shapes. Nothing is computed, no large array is read.

What fits in memory at once (ports, tracks, flashes, drawings) is read whole, so that a bad value is told before a run and not after hours.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

from fieldfit.config.dune import Library
from fieldfit.config.gallery import Tomography
from fieldfit.config.magis import Absorption, Imaging, Pictures, Ports
from fieldfit.plan import Plan
from fieldfit.types import InputError
from fieldfit.units import CM

MADE = "will be made"
TRIPLETS = 4  # of which the headers are read


@dataclass(frozen=True)
class Found:
    """One input of an entry. key: of the configuration; found: what it is; fault: what is wrong with it, empty where nothing is."""

    entry: str
    key: str
    path: str
    found: str
    fault: str = ""


def look(plan: Plan) -> Iterator[Found]:
    """Every input of a plan, entry by entry in the order of the configuration."""
    for name in plan.at_hand():
        entry = f"magis.{name}"
        if name in plan.imaging:
            yield from _imaging(plan, name, entry)
        elif name in plan.ports:
            yield from _ports(plan.ports[name], entry)
        elif name in plan.pictures:
            yield from _pictures(plan.pictures[name], entry)
        elif name in plan.absorption:
            yield from _absorption(plan.absorption[name], entry)
    for name, library in plan.libraries.items():
        yield from _library(library, f"dune.{name}")
    for name in plan.config.design:
        yield from _design(plan, name, f"design.{name}")
    for name, scan in plan.tomography.items():
        yield from _tomography(scan, f"gallery.{name}")


def _seen(entry: str, key: str, path: Path | str, made: bool, told: Callable[[], str]) -> Found:
    """What `told` says of an input, or its fault; of one that a simulation makes, that it will be made."""
    if made:
        return Found(entry, key, str(path), "made by the run, there already" if Path(path).exists() else MADE)
    try:
        return Found(entry, key, str(path), told())
    except (InputError, OSError) as error:
        return Found(entry, key, str(path), "FAULT", str(error))


def _number(count: int, word: str) -> str:
    return f"{count:,} {word}" + ("" if count == 1 else "s")


def _imaging(plan: Plan, name: str, entry: str) -> Iterator[Found]:
    own: Imaging = plan.imaging[name]
    made = own.simulate is not None
    cameras = _seen(entry, "cameras", own.cameras, made, lambda: _cameras(own))
    yield cameras
    readable = not made and not cameras.fault
    yield _seen(entry, "raw", own.raw, made, lambda: _shots(plan, name, readable))
    for label, calibration in own.calibrations.items():
        simulated = own.simulate is not None and own.simulate.sensor is not None
        for key, path in (("dark", calibration.dark), ("flat", calibration.flat)):
            if path is not None:
                yield _seen(entry, f"calibrations.{label}.{key}", path, simulated, partial(_frames, own, path, readable))
    if own.refine and own.refine.target:
        yield _seen(entry, "refine.target", own.refine.target, False, lambda: _target(own, readable))
    if own.object:
        yield _seen(entry, "object.cad", own.object.cad, False, partial(_drawing, own.object.cad))
    if own.simulate and own.simulate.mesh:
        yield _seen(entry, "simulate.mesh", own.simulate.mesh, False, partial(_drawing, own.simulate.mesh))


def _cameras(own: Imaging) -> str:
    from fieldfit.io.cameras import frame_sizes, read_cameras

    views, sizes = read_cameras(own.cameras, own.grid.half_width_m), frame_sizes(own.cameras)
    shapes = ", ".join(dict.fromkeys(f"{rows} x {columns}" for rows, columns in sizes))
    return f"{_number(len(views), 'view')} of {_number(len(sizes), 'sensor')} of {shapes} pixels"


def _shots(plan: Plan, name: str, readable: bool) -> str:
    own, blocks = plan.imaging[name], plan.shots.blocks(name)
    shots = [shot for block in blocks.values() for shot in block.shots]
    missing = sum(after - before - 1 for before, after in pairwise(shots))
    told = f"{_number(len(blocks), 'block')} of {own.block_size} shots, {_number(len(shots), 'shot')}, {_number(missing, 'missing number')}"
    return told + (_sampled(own, own.raw, shots) if readable else "")


def _frames(own: Imaging, raw: Path, readable: bool) -> str:
    from fieldfit.catalogue import shots_of

    numbers = list(shots_of(raw, own.format))
    return f"{_number(len(numbers), 'frame')} of every sensor" + (_sampled(own, raw, numbers) if readable else "")


def _sampled(own: Imaging, raw: Path, shots: list[int]) -> str:
    """First, middle and last shot decoded: a fault where none of them can be, as no block would go through then."""
    from fieldfit.catalogue import shots_of
    from fieldfit.io.cameras import frame_sizes
    from fieldfit.io.exposure import BadFrame
    from fieldfit.io.frames import read_shot

    sizes, places = frame_sizes(own.cameras), shots_of(raw, own.format)
    bad, kinds = [], []
    sample = sorted({shots[0], shots[len(shots) // 2], shots[-1]})
    for shot in sample:
        try:
            kinds.append(str(read_shot(places[shot][0], own.format, sizes).dtype))
        except BadFrame as reason:
            bad.append(f"shot {shot} would be flagged {reason.status.name}: {reason}")
    if not kinds:
        raise InputError(bad[0])
    return f", {kinds[0]}" + "".join(f"; {line}" for line in bad)


def _target(own: Imaging, readable: bool) -> str:
    from fieldfit.io.cameras import read_cameras
    from fieldfit.io.target import read_target

    assert own.refine and own.refine.target
    path = own.refine.target
    if not readable:
        return _unread(path, "a CSV file of sightings", "the camera file")
    sightings = read_target(path, read_cameras(own.cameras, own.grid.half_width_m))
    return f"{_number(sum(len(one.std) for one in sightings), 'sighting')} in {_number(len(sightings), 'view')}"


def _drawing(path: Path) -> str:
    from fieldfit.io.stl import read_stl

    return _number(len(read_stl(path)), "triangle")


def _ports(own: Ports, entry: str) -> Iterator[Found]:
    def told() -> str:
        from fieldfit.io.ports import read_ports

        run = read_ports(own.raw, own.weak_share)
        beside = [name for name, values in (("cloud_position_m", run.position), ("relative_intensity", run.intensity)) if values is not None]
        shots, interferometers, _ = run.counts.shape
        flagged = int((run.status != 0).sum())
        return (
            f"{_number(shots, 'shot')} of {interferometers} interferometers, {flagged:,} flagged; with {', '.join(beside) or 'no auxiliary channel'}"
        )

    yield _seen(entry, "raw", own.raw, own.simulate is not None, told)


def _pictures(own: Pictures, entry: str) -> Iterator[Found]:
    def told() -> str:
        from fieldfit.io.pictures import pictures_header

        shape = pictures_header(own.raw)["frames"]
        if len(shape) != 3:
            raise InputError(f"{own.raw}: key 'frames' has shape {shape}, expected (shot, row, column)")
        return f"{_number(shape[0], 'picture')} of {shape[1]} x {shape[2]} pixels"

    yield _seen(entry, "raw", own.raw, own.simulate is not None, told)


def _absorption(own: Absorption, entry: str) -> Iterator[Found]:
    def told() -> str:
        from fieldfit.io.absorption import MEMBERS, common_shape, find_triplets

        triplets = find_triplets(own.raw, {member: getattr(own, member) for member in MEMBERS})
        rows, columns = common_shape(triplets[:TRIPLETS])
        odd = sum(any(len(paths) != 1 for paths in triplet.files.values()) for triplet in triplets)
        return f"{_number(len(triplets), 'triplet')} of {rows} x {columns} pixels, {odd:,} without all three files"

    yield _seen(entry, "raw", own.raw, own.simulate is not None, told)


def _library(own: Library, entry: str) -> Iterator[Found]:
    """Sensors, then the library, whose channels and box tracks and flashes are compared with."""
    from fieldfit.io.channels import read_channels
    from fieldfit.io.flashes import read_flashes
    from fieldfit.io.optical.opening import open_library
    from fieldfit.io.tracks import read_tracks

    made, listed, source = own.simulate is not None, None, None

    def channels() -> str:
        nonlocal listed
        assert own.channels
        listed = read_channels(own.channels).count
        return _number(listed, "sensor")

    def library() -> str:
        nonlocal source
        if own.channels is not None and listed is None:
            return _unread(own.library, "an optical library", "the channels")
        source = open_library(own.library, own, listed)
        if listed is None and source.disks is None:
            raise InputError(f"{own.library}: does not say where the sensors are; expected the key channels, a JSON list of them")
        low, high = (" ".join(f"{round(edge / CM, 6):g}" for edge in corner) for corner in (source.box.lower, source.box.upper))
        voxels = " x ".join(map(str, source.box.divisions))
        return f"{own.format}: {_number(source.rows, 'row')}, {_number(source.channels, 'channel')}, {voxels} voxels from ({low}) to ({high}) cm"

    def tracks() -> str:
        assert own.tracks
        if source is None:
            return _unread(own.tracks, "measured tracks (HDF5)", "the library")
        return f"{_number(read_tracks(own.tracks, source.channels, source.box).count, 'track')} in {_number(source.channels, 'channel')}"

    def flashes() -> str:
        assert own.flashes
        if source is None:
            return _unread(own.flashes, "measured flashes (HDF5)", "the library")
        return f"{len(read_flashes(own.flashes, source.channels)):,} flashes in {_number(source.channels, 'channel')}"

    for told in (channels, library, tracks, flashes):
        path = getattr(own, told.__name__)
        if path is not None:
            yield _seen(entry, told.__name__, path, made, told)


def _unread(path: Path, expected: str, without: str) -> str:
    """What can be said of a file that is not understood without another one. Raises InputError where it is absent."""
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected {expected}")
    return f"{_number(path.stat().st_size, 'byte')}, not read without {without}"


def _design(plan: Plan, name: str, entry: str) -> Iterator[Found]:
    from fieldfit.config.load import load_study

    if name not in plan.showers:
        yield Found(entry, "-", "-", "needs no file")
        return
    own = plan.showers[name]

    def told() -> str:
        study = load_study(own)
        return f"{study.region.shape} of {study.region.inner} to {study.region.outer} in a disc of radius {study.radius:g}"

    yield _seen(entry, "study", own.study if isinstance(own.study, Path) else "in place", False, told)


def _tomography(own: Tomography, entry: str) -> Iterator[Found]:
    def told() -> str:
        from fieldfit.io.data_exchange import scan_header

        views, rows, columns = scan_header(own.raw)
        wrong = [row for row in own.rows or () if not 0 <= row < rows]
        if wrong:
            raise InputError(f"{own.raw}: row {wrong[0]} of key 'rows' does not exist, expected 0 to {rows - 1}")
        return f"{_number(views, 'view')} of {rows} x {columns} pixels"

    yield _seen(entry, "raw", own.raw, own.simulate is not None, told)
