"""What a configuration asks for: its runs, their blocks of shots, and the paths of every product. Read when the DAG is built."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fieldfit.catalogue import Place, shots_of, version_of
from fieldfit.config.design import Shower, Toy
from fieldfit.config.dune import Library
from fieldfit.config.entry import Entry
from fieldfit.config.gallery import Tomography
from fieldfit.config.load import Config
from fieldfit.config.magis import Absorption, Imaging, Pictures, Ports
from fieldfit.contract.where import WHERE
from fieldfit.paths import EFFICIENCIES, EXPORTS, SUFFIXES, block_name, result
from fieldfit.types import InputError, nearest
from fieldfit.validity import valid_within

REPORT = "results/report.html"


@dataclass(frozen=True)
class Block:
    """Consecutive shots that are fitted together.

    digest: names, sizes and times of their files, or what their rows tell, so that a changed shot reruns its block only.
    """

    shots: tuple[int, ...]
    digest: str


class Plan:
    """The products of a validated configuration."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.imaging = _of(config.magis, Imaging)
        self.ports = _of(config.magis, Ports)
        self.pictures = _of(config.magis, Pictures)
        self.absorption = _of(config.magis, Absorption)
        self.libraries = _of(config.dune, Library)
        self.showers = _of(config.design, Shower)
        self.toys = _of(config.design, Toy)
        self.tomography = _of(config.gallery, Tomography)
        self._blocks: dict[str, dict[str, Block]] = {}
        for name, entry in self.imaging.items():
            if entry.simulate and entry.simulate.sensor and not entry.calibrations:
                raise InputError(f"magis.{name}: key 'simulate.sensor' is given without 'calibrations', expected one that says where its frames go")

        for name, library in self.libraries.items():
            if library.export.of == "calibrated" and not library.tracks:
                raise InputError(
                    f"dune.{name}: key 'export.of' is calibrated, and there are no 'tracks' to calibrate on; expected simulated, or tracks"
                )

    def blocks(self, run: str) -> dict[str, Block]:
        """Blocks of an imaging run by name. Raises InputError when the run's folder holds no shots."""
        if run not in self._blocks:
            self._blocks[run] = _blocks(self.imaging[run])
        return self._blocks[run]

    @property
    def refined(self) -> list[str]:
        """Imaging runs whose geometry is refined."""
        return [name for name, entry in self.imaging.items() if entry.refine]

    def refined_from(self, run: str) -> list[str]:
        """The first blocks of a run that together hold as many shots as its geometry is refined from; none where a target tells it."""
        refine, found, shots = self.imaging[run].refine, [], 0
        for name, block in self.blocks(run).items():
            if refine is None or refine.target or shots >= refine.shots:
                break
            found.append(name)
            shots += len(block.shots)
        return found

    def calibrations(self, run: str, first: float, last: float) -> tuple[str, ...]:
        """Calibrations of an imaging run that hold at some time from `first` to `last` [s], the nearest one where none does."""
        return valid_within({name: own.interval for name, own in self.imaging[run].calibrations.items()}, first, last)

    def calibration_digest(self, run: str, name: str) -> str:
        """Names, sizes and times of the dark and flat frames of a calibration. Raises InputError where there are none."""
        entry = self.imaging[run]
        if entry.simulate and entry.simulate.sensor:
            return _digest([])
        own = entry.calibrations[name]
        found = [shots_of(raw, entry.format) for raw in (own.dark, own.flat) if raw is not None]
        return _digest([place for shots in found for places in shots.values() for place in places])

    def check_calibrations(self) -> None:
        """Raises InputError where the dark or flat frames of a calibration are absent, or the frames of an absorption run."""
        for run in self.absorption:
            self.digest(run)
        for run, entry in self.imaging.items():
            for name in entry.calibrations:
                self.calibration_digest(run, name)

    def digest(self, run: str) -> str:
        """Names, sizes and times of the files of an absorption run. Raises InputError when the run's folder is absent."""
        entry = self.absorption[run]
        if entry.simulate:
            return _digest([])
        if not entry.raw.is_dir():
            raise InputError(f"{entry.raw}: no such folder, expected three TIFF files a shot")
        return _digest([Place(path) for path in sorted(entry.raw.iterdir()) if path.suffix.lower() in SUFFIXES["tiff"]])

    def products(self, section: str, name: str) -> list[str]:
        """Paths of the products that an entry ends in."""
        if section == "dune":
            entry = self.libraries[name]
            kinds = ["library", "visibility"] + (["calibration"] if entry.tracks else []) + (["flashes"] if entry.flashes else [])
            return [result(kind).format(detector=name) for kind in kinds]
        if section == "design":
            return [result("design" if name in self.showers else "toy").format(study=name)]
        if section == "gallery":
            return [result("tomogram").format(name=name)]
        if name in self.imaging:
            entry, blocks = self.imaging[name], self.blocks(name)
            sensors = [result("sensor").format(run=name, calibration=own) for own in entry.calibrations]
            sensors += [result("geometry").format(run=name)] if entry.refine else []
            kinds = ["density"] + (["surface"] if entry.object else [])
            by_block = [result(kind).format(run=name, block=block) for kind in kinds for block in blocks]
            return [result("setup").format(run=name), *sensors, *by_block, result("phase").format(run=name)]
        kind = "gradiometer" if name in self.ports else "optical_density" if name in self.absorption else "phase"
        return [result(kind).format(run=name)]

    def calibrated(self, detector: str) -> bool:
        """Whether the calibrated visibility of a library is exported, and not the simulated one."""
        entry = self.libraries[detector]
        return bool(entry.tracks) and entry.export.of != "simulated"

    def exports(self, detector: str) -> list[str]:
        """Files of a library's visibility for other tools."""
        formats = dict.fromkeys(self.libraries[detector].export.formats)
        files = [file for name in formats for file in EXPORTS[name]] + ([EFFICIENCIES] if formats and self.calibrated(detector) else [])
        return [f"results/dune/{detector}/export/{file}" for file in files]

    def exported(self) -> list[str]:
        """Files for other tools, of all libraries."""
        return [path for detector in self.libraries for path in self.exports(detector)]

    def everything(self) -> list[str]:
        """Products of all entries, in the order of the configuration."""
        sections = ("magis", "dune", "design", "gallery")
        return [path for section in sections for name in getattr(self.config, section) for path in self.products(section, name)]

    def night(self) -> list[str]:
        """Products of the run named by the key `night`, or of the last magis run."""
        runs = list(self.config.magis)
        if not runs:
            return []
        run = self.config.night or runs[-1]
        if run not in runs:
            raise InputError(f"night: no run '{run}' under magis{nearest(run, runs)} (known: {', '.join(runs)})")
        return self.products("magis", run)

    def paper(self) -> list[str]:
        """What a referee asks for: every run-level product, no blocks."""
        return [path for path in self.everything() if "/density/" not in path and "/surface/" not in path]

    def intermediate(self) -> list[str]:
        """Products on the way, which can be asked for by path as well."""
        shots = [result("electrons").format(run=run, block=block) for run in self.imaging for block in self.blocks(run)]
        seeds = [result("material").format(study=study, seed=seed) for study, entry in self.showers.items() for seed in entry.seeds]
        return shots + seeds

    def check_targets(self, targets: Iterable[str]) -> None:
        """Raises InputError for a path below results/ that no entry makes, naming the nearest one that is made."""
        asked = [target for target in targets if target.startswith("results/")]
        if not asked:
            return
        known = [*self.everything(), *self.exported(), *self.intermediate(), REPORT]
        for target in asked:
            if target not in known:
                raise InputError(f"{target}: no entry of the configuration makes this product{nearest(target, known)}\n{_kinds()}")


def _of(entries: dict[str, Any], kind: type[Entry]) -> dict[str, Any]:
    return {name: entry for name, entry in entries.items() if isinstance(entry, kind)}


def _blocks(entry: Imaging) -> dict[str, Block]:
    simulated = entry.simulate
    places: dict[int, tuple[Place, ...]] = dict.fromkeys(range(simulated.shots), ()) if simulated else shots_of(entry.raw, entry.format)
    members: dict[str, list[int]] = {}
    for shot in places:
        members.setdefault(block_name(shot, entry.block_size), []).append(shot)
    return {name: Block(tuple(shots), _digest([place for shot in shots for place in places[shot]])) for name, shots in members.items()}


def _digest(places: list[Place]) -> str:
    digest = hashlib.sha256()
    for place in places:
        digest.update(f"{version_of(place)}\n".encode())
    return digest.hexdigest()[:16]


def _kinds() -> str:
    return "products: " + ", ".join(f"results/{where}" for where in WHERE.values())
