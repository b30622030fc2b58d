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
        known, time, status = done.shot.values, done.time.values, done.status.values
    values = _received(entry, known)
    shots = values.pop("shot")
    order, inside = np.argsort(known), np.isin(shots, known)
    at = order[np.searchsorted(known[order], shots[inside])]
    values["time"], values["status"] = np.full(len(shots), np.nan), np.full(len(shots), int(Status.unprocessed))
    values["time"][inside], values["status"][inside] = time[at], status[at]
    log.info("%d shots, %d of them not in %s", len(shots), int((~inside).sum()), found)
    dataset: xr.Dataset = product(
        "catalogue", values, {"shot": shots}, state=state, unreadable="\n".join(f"{path}: {why}" for path, why in unreadable.items()) or "none"
    )
    write_product(dataset, output, [found], entry.model_dump(mode="json"), "Catalogue of the shots of a run", "catalogue_shots")


def _received(entry: Imaging | Ports | Pictures | Absorption, numbers: np.ndarray) -> dict[str, np.ndarray]:
    """Number, path, row and bytes of every shot, by number. numbers: of a run that lies in one file, a row a shot."""
    if isinstance(entry, Ports | Pictures):  # as many as the file holds: no object a shot
        count, row = len(numbers), np.argsort(numbers)
        path, size = np.full(count, str(entry.raw), object), np.full(count, _bytes(entry.raw) / max(1, count))
        return {"shot": numbers[row], "path": path, "row": row, "bytes": size}
    if isinstance(entry, Imaging):
        places = readable_shots(entry.raw, entry.format)[0]
    else:
        found = find_triplets(entry.raw, {member: getattr(entry, member) for member in MEMBERS})
        places = {triplet.shot: tuple(Place(path) for member in MEMBERS for path in triplet.files[member]) for triplet in found}
    shots = sorted(places)
    return {
        "shot": np.array(shots),
        "path": np.array(["; ".join(str(place.path) for place in places[shot]) for shot in shots], dtype=object),
        "row": np.array([place.row if (place := places[shot][0]).row is not None else -1 for shot in shots]),
        "bytes": _sizes([places[shot] for shot in shots]),
    }


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
