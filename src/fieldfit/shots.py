"""The raw files of magis runs as the DAG sees them: blocks of shots, and digests that change when a file does. No frame is read."""

import hashlib
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from fieldfit.catalogue import Place, readable_shots, shots_of, version_of
from fieldfit.config.entry import Entry
from fieldfit.config.magis import Absorption, Imaging, Pictures, Ports
from fieldfit.paths import SUFFIXES, block_name
from fieldfit.provenance import sha256
from fieldfit.types import InputError


@dataclass(frozen=True)
class Block:
    """Consecutive shots that are fitted together. places: of their files; cameras: the camera file's digest."""

    shots: tuple[int, ...]
    places: tuple[Place, ...]
    cameras: str

    @cached_property
    def digest(self) -> str:
        """Names, sizes and times of the files, or what their rows tell, so that a changed shot reruns its block only.

        Only now are they looked at: a job of one block need not ask a file server for a night's. Raises InputError where one is not there.
        """
        return _digest(self.places, self.cameras)


class Shots:
    """Shots of the magis runs `entries`; nights: those that are a night of a nightly run."""

    def __init__(self, entries: Mapping[str, Imaging | Ports | Pictures | Absorption], nights: Container[str]) -> None:
        self.entries, self.nights = entries, nights
        self.imaging = {name: entry for name, entry in entries.items() if isinstance(entry, Imaging)}
        self._blocks: dict[str, dict[str, Block]] = {}
        self._unreadable: dict[str, dict[Path, str]] = {}

    def blocks(self, run: str) -> dict[str, Block]:
        """Blocks of an imaging run by name.

        Raises InputError when the run's folder holds no shots, and for a shot file that cannot be read; of a night's run such a file is left
        out and told by `unreadable`: it may still be on its way, and must not stop the night.
        """
        if run not in self._blocks:
            entry = self.imaging[run]
            places: dict[int, tuple[Place, ...]]
            if entry.simulate:
                places, self._unreadable[run] = dict.fromkeys(range(entry.simulate.shots), ()), {}
            elif run in self.nights:
                places, self._unreadable[run] = readable_shots(entry.raw, entry.format)
            else:
                places, self._unreadable[run] = shots_of(entry.raw, entry.format), {}
            self._blocks[run] = _blocks(places, entry.block_size, self.camera_digest(run))
        return self._blocks[run]

    def unreadable(self, run: str) -> dict[Path, str]:
        """Shot files of an imaging run that cannot be read, with the reason."""
        self.blocks(run)
        return self._unreadable[run]

    def refined_from(self, run: str) -> list[str]:
        """The first blocks of a run that together hold as many shots as its geometry is refined from; none where a target tells it."""
        refine, found, shots = self.imaging[run].refine, [], 0
        for name, block in self.blocks(run).items():
            if refine is None or refine.target or shots >= refine.shots:
                break
            found.append(name)
            shots += len(block.shots)
        return found

    def digest(self, run: str) -> str:
        """Names, sizes and times of the raw files of a run. Raises InputError when they are absent.

        In the params of every step after the first too: what was made before another shot came is not fresh, whatever the clock says.
        """
        if run in self.imaging:
            return hashlib.sha256(" ".join(block.digest for block in self.blocks(run).values()).encode()).hexdigest()[:16]
        entry = self.entries[run]
        if entry.simulate:
            return _digest([])
        if not isinstance(entry, Absorption):
            return _digest([Place(entry.raw)] if entry.raw.is_file() else [])
        if not entry.raw.is_dir():
            raise InputError(f"{entry.raw}: no such folder, expected three TIFF files a shot")
        return _digest([Place(path) for path in sorted(entry.raw.iterdir()) if path.suffix.lower() in SUFFIXES["tiff"]])

    def calibration_digest(self, run: str, name: str) -> str:
        """Names, sizes and times of the dark and flat frames of a calibration. Raises InputError where there are none."""
        entry = self.imaging[run]
        if entry.simulate and entry.simulate.sensor:
            return _digest([])
        own = entry.calibrations[name]
        found = [shots_of(raw, entry.format) for raw in (own.dark, own.flat) if raw is not None]
        return _digest([place for shots in found for places in shots.values() for place in places], self.camera_digest(run))

    def camera_digest(self, run: str) -> str:
        """Checksum of the camera file of an imaging run, empty where it is absent or made first.

        In the params of what it is read by: a file with an older time than the products is new to Snakemake only so.
        """
        entry = self.imaging[run]
        return sha256(entry.cameras) if not entry.simulate and entry.cameras.is_file() else ""

    def check_calibrations(self) -> None:
        """Raises InputError where the dark or flat frames of a calibration are absent, or the frames of an absorption run."""
        for run, own in self.entries.items():
            if isinstance(own, Absorption):
                self.digest(run)
        for run, entry in self.imaging.items():
            for name in entry.calibrations:
                self.calibration_digest(run, name)


def stamp(entry: Entry, *named: object) -> str:
    """Names, sizes and times of files that an entry names, of those that are there; of none where its raw files are made first.

    In the params of what reads them: a file with an older time than the products is new to Snakemake only so.
    """
    if getattr(entry, "simulate", None):
        return _digest([])
    return _digest([Place(path) for path in named if isinstance(path, Path) and path.exists()])


def _blocks(places: dict[int, tuple[Place, ...]], size: int, cameras: str) -> dict[str, Block]:
    members: dict[str, list[int]] = {}
    for shot in places:
        members.setdefault(block_name(shot, size), []).append(shot)
    return {name: Block(tuple(shots), tuple(place for shot in shots for place in places[shot]), cameras) for name, shots in members.items()}


def _digest(places: Sequence[Place], more: str = "") -> str:
    digest = hashlib.sha256(more.encode())
    for place in places:
        digest.update(f"{version_of(place)}\n".encode())
    return digest.hexdigest()[:16]
