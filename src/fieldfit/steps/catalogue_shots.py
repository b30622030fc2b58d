"""The catalogue of a run: every shot that was received, where it lies, how large it is, and what became of it."""

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import xarray as xr

from fieldfit.catalogue import Place, readable_shots
from fieldfit.config.magis import Absorption, Imaging, Pictures, Ports
from fieldfit.io.absorption import MEMBERS, find_triplets
from fieldfit.io.products import open_product, product, write_product
from fieldfit.types import Status

log = logging.getLogger(__name__)


def catalogue_shots(found: Path, output: Path, entry: Imaging | Ports | Pictures | Absorption, state: str, unreadable: Mapping[str, str]) -> None:
    """Write the catalogue of a run.

    found: its last product (phase, gradiometer or optical density), which tells time and status; a shot that is not in it is unprocessed.
    state: hash of the entry and the code, by which a later call knows that nothing has to be looked at again.
    unreadable: files that could not be read, with the reason; they are told in the attribute of this name.
    """
    kind = {Ports: "gradiometer", Absorption: "optical_density"}.get(type(entry), "phase")
    with open_product(found, kind, chunks={}) as done:
        known = {int(shot): k for k, shot in enumerate(done.shot.values)}
        time, status = done.time.values, done.status.values
    places = _places(entry, list(known))
    shots = sorted(places)
    at = np.array([known.get(shot, -1) for shot in shots], int)
    inside = at >= 0
    values = {
        "path": np.array(["; ".join(str(place.path) for place in places[shot]) for shot in shots], dtype=object),
        "row": np.array([place.row if (place := places[shot][0]).row is not None else -1 for shot in shots]),
        "bytes": _sizes([places[shot] for shot in shots]),
        "time": np.where(inside, time[at], np.nan),
        "status": np.where(inside, status[at], int(Status.unprocessed)),
    }
    log.info("%d shots, %d of them not in %s", len(shots), int((~inside).sum()), found)
    dataset: xr.Dataset = product(
        "catalogue", values, {"shot": shots}, state=state, unreadable="\n".join(f"{path}: {why}" for path, why in unreadable.items()) or "none"
    )
    write_product(dataset, output, [found], entry.model_dump(mode="json"), "Catalogue of the shots of a run", "catalogue_shots")


def _places(entry: Imaging | Ports | Pictures | Absorption, shots: list[int]) -> Mapping[int, tuple[Place, ...]]:
    """Places of every shot by number. shots: numbers of a run that lies in one file, a row a shot."""
    if isinstance(entry, Imaging):
        return readable_shots(entry.raw, entry.format)[0]
    if isinstance(entry, Absorption):
        found = find_triplets(entry.raw, {member: getattr(entry, member) for member in MEMBERS})
        return {triplet.shot: tuple(Place(path) for member in MEMBERS for path in triplet.files[member]) for triplet in found}
    return {shot: (Place(entry.raw, row),) for row, shot in enumerate(shots)}


def _sizes(places: list[tuple[Place, ...]]) -> np.ndarray:
    """(shot,) bytes of each shot's files; a row has an equal share of its file."""
    rows: dict[Path, int] = {}
    for own in places:
        for place in own:
            rows[place.path] = rows.get(place.path, 0) + 1
    size = {path: _bytes(path) / count for path, count in rows.items()}
    return np.array([sum(size[place.path] for place in own) for own in places], float)


def _bytes(path: Path) -> int:
    return sum(file.stat().st_size for file in path.iterdir()) if path.is_dir() else path.stat().st_size
