"""What a configuration asks for: its runs and nights, and the paths of every product. Read when the DAG is built."""

import difflib
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fieldfit.catalogue import closed_as
from fieldfit.config.design import Shower, Toy
from fieldfit.config.dune import Library
from fieldfit.config.entry import Entry
from fieldfit.config.gallery import Tomography
from fieldfit.config.load import Config, load_entry
from fieldfit.config.magis import Absorption, Imaging, Pictures, Ports
from fieldfit.contract.where import WHERE
from fieldfit.nights import NIGHT, at_night, check_names, is_night, is_nightly, nights_below, run_of
from fieldfit.paths import EFFICIENCIES, EXPORTS, night_page, result
from fieldfit.provenance import canonical, code_hash
from fieldfit.shots import Shots
from fieldfit.types import InputError, nearest
from fieldfit.validity import valid_within

REPORT = "results/report.html"
STEPS = ("describe_setup", "characterise_sensor", "calibrate_frames", "refine_geometry", "fit_density", "extract_surface", "estimate_phase")
STEPS_OF: dict[type[Entry], tuple[str, ...]] = {  # what a run's products are made by: an edit opens its closed nights again
    Imaging: STEPS,
    Ports: ("fit_gradiometer",),
    Pictures: ("fit_pictures",),
    Absorption: ("reduce_absorption",),
}


@dataclass(frozen=True)
class Night:
    """What `nightly` makes. name: the date, or the name of a run without nights; runs: those of that night; absent: nightly runs without shots."""

    name: str
    runs: tuple[str, ...]
    absent: tuple[str, ...] = ()


class Plan:
    """The products of a validated configuration."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.nights = {name: _nights(entry, config.night) for name, entry in config.magis.items() if is_nightly(entry.raw)}
        check_names(config.magis, self.nights)
        self.magis = {name: entry for name, entry in config.magis.items() if name not in self.nights}
        for name, entry in self.magis.items():
            if NIGHT in canonical(entry.model_dump(mode="json")):
                raise InputError(f"magis.{name}: a key holds {NIGHT}, and 'raw' is '{entry.raw}': expected it there as well, for a run a night")
        for name, nights in self.nights.items():
            keys = config.magis[name].model_dump(mode="json")
            self.magis |= {run_of(name, night): load_entry("magis", at_night(keys, night)) for night in nights}
        self.shots = Shots(self.magis, {name for name in self.magis if self.is_night(name)})
        self.imaging = self.shots.imaging
        self.ports = _of(self.magis, Ports)
        self.pictures = _of(self.magis, Pictures)
        self.absorption = _of(self.magis, Absorption)
        self.libraries = _of(config.dune, Library)
        self.showers = _of(config.design, Shower)
        self.toys = _of(config.design, Toy)
        self.tomography = _of(config.gallery, Tomography)
        for name, entry in self.imaging.items():
            if entry.simulate and entry.simulate.sensor and not entry.calibrations:
                raise InputError(f"magis.{name}: key 'simulate.sensor' is given without 'calibrations', expected one that says where its frames go")
        for name, library in self.libraries.items():
            if library.export.of == "calibrated" and not library.tracks:
                raise InputError(
                    f"dune.{name}: key 'export.of' is calibrated, and there are no 'tracks' to calibrate on; expected simulated, or tracks"
                )

    def entry(self, section: str, name: str) -> Entry:
        """The entry of a run, detector, study or scan; of a night's run: with the date in its paths."""
        entries = self.magis if section == "magis" else getattr(self.config, section)
        found: Entry = entries[name]
        return found

    def is_night(self, run: str) -> bool:
        """Whether a run is a night of a nightly one."""
        return run not in self.config.magis

    @property
    def refined(self) -> list[str]:
        """Imaging runs whose geometry is refined."""
        return [name for name, entry in self.imaging.items() if entry.refine]

    def calibrations(self, run: str, first: float, last: float) -> tuple[str, ...]:
        """Calibrations of an imaging run that hold at some time from `first` to `last` [s], the nearest one where none does."""
        return valid_within({name: own.interval for name, own in self.imaging[run].calibrations.items()}, first, last)

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
            entry, blocks = self.imaging[name], self.shots.blocks(name)
            sensors = [result("sensor").format(run=name, calibration=own) for own in entry.calibrations]
            sensors += [result("geometry").format(run=name)] if entry.refine else []
            kinds = ["density"] + (["surface"] if entry.object else [])
            by_block = [result(kind).format(run=name, block=block) for kind in kinds for block in blocks]
            return [result("setup").format(run=name), *sensors, *by_block, result("phase").format(run=name)]
        kind = "gradiometer" if name in self.ports else "optical_density" if name in self.absorption else "phase"
        return [result(kind).format(run=name)]

    def steps_of(self, run: str) -> dict[str, list[str]]:
        """Products of a magis run by the step that makes them, in the order of the work, the catalogue of its shots last."""
        last = {"catalogue_shots": [result("catalogue").format(run=run)]}
        if run not in self.imaging:
            rule = "fit_gradiometer" if run in self.ports else "reduce_absorption" if run in self.absorption else "fit_pictures"
            return {rule: self.products("magis", run)} | last
        kinds = {"calibrate_frames": "electrons", "fit_density": "density"} | ({"extract_surface": "surface"} if self.imaging[run].object else {})
        steps = {rule: [result(kind).format(run=run, block=block) for block in self.shots.blocks(run)] for rule, kind in kinds.items()}
        return steps | {"estimate_phase": [result("phase").format(run=run)]} | last

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

    def reported(self) -> list[str]:
        """Products of all entries, in the order of the configuration; nights have pages of their own."""
        sections = ("magis", "dune", "design", "gallery")
        names = {section: [name for name in getattr(self.config, section) if name not in self.nights] for section in sections}
        return [path for section in sections for name in names[section] for path in self.products(section, name)]

    def everything(self) -> list[str]:
        """What there is to make: the products of all entries, the report, and of every night that is not closed its products and its page."""
        opened = [night for night in self.all_nights() if not all(self.is_closed(run) for run in night.runs)]
        found = self.reported()
        return found + ([REPORT] if found else []) + self.exported() + [path for night in opened for path in self.of_night(night)]

    def all_nights(self) -> list[Night]:
        """Every night of the nightly runs, the earliest first."""
        return [self._dated(night) for night in sorted({night for nights in self.nights.values() for night in nights})]

    def night(self) -> Night:
        """The night that the key `night` names: a date of the nightly runs, or any run by its name; by default the latest, or the last run.

        Raises InputError where there is none, with those that there are.
        """
        asked, dated = self.config.night, self.all_nights()
        if asked in self.magis:
            return Night(asked, (asked,))
        if asked is None:
            if not dated and not self.magis:
                folders = ", ".join(str(self.config.magis[name].raw) for name in self.nights)
                raise InputError(f"nightly: no night yet below {folders}" if folders else "nightly: no run under magis")
            return dated[-1] if dated else Night(list(self.magis)[-1], (list(self.magis)[-1],))
        found = next((night for night in dated if night.name == asked), None)
        if found:
            return found
        if is_night(asked) and not self.nights:
            raise InputError(f"night: {asked} is a date, and no run under magis has {NIGHT} in 'raw': expected for example raw: data/{NIGHT}/shots")
        if is_night(asked):
            known = [night.name for night in dated]
            told = f"{len(known)} nights from {known[0]} to {known[-1]}" if known else "none"
            raise InputError(f"night: no shots of {asked}{nearest(asked, known)} (found: {told})")
        runs = [*self.config.magis, *(run for night in dated[-3:] for run in night.runs)]
        raise InputError(f"night: no run '{asked}' under magis{nearest(asked, runs)} (known: {', '.join(self.config.magis)})")

    def at_hand(self) -> list[str]:
        """The runs that a person looks at: those without nights, and of the nightly ones the night that `nightly` would make."""
        dated = self.all_nights()
        asked = self.config.night or ""
        latest = self._dated(asked) if is_night(asked) else dated[-1] if dated else Night("", ())
        return [run for run in self.magis if not self.is_night(run) or run in latest.runs]

    def night_named(self, name: str) -> Night:
        """The night of a date, or the run of that name taken as one."""
        return self._dated(name) if is_night(name) else Night(name, (name,))

    def of_night(self, night: Night) -> list[str]:
        """Products of a night: of its runs, the catalogues of their shots, and the page."""
        products = [path for run in night.runs for path in [*self.products("magis", run), result("catalogue").format(run=run)]]
        return [*products, *night_page(night.name)]

    def state(self, run: str) -> str:
        """Hash of a run's entry and of the code of its steps: what a closed night was made with."""
        code = [code_hash(f"fieldfit.steps.{step}") for step in STEPS_OF[type(self.magis[run])]]
        return hashlib.sha256(canonical([self.magis[run].model_dump(mode="json"), code]).encode()).hexdigest()[:16]

    def is_closed(self, run: str) -> bool:
        """Whether a night's run has its catalogue, made with this entry and this code. Its shots are not looked at again."""
        return closed_as(result("catalogue").format(run=run)) == self.state(run)

    def _dated(self, night: str) -> Night:
        present = [name for name, nights in self.nights.items() if night in nights]
        return Night(night, tuple(run_of(name, night) for name in present), tuple(name for name in self.nights if name not in present))

    def paper(self) -> list[str]:
        """What a referee asks for: every run-level product, no blocks."""
        return [path for path in self.reported() if "/density/" not in path and "/surface/" not in path]

    def known(self, section: str, name: str) -> list[str]:
        """Every path below results/ that an entry makes, products on the way as well."""
        found = self.products(section, name)
        if section == "dune":
            return found + self.exports(name)
        if section == "design" and name in self.showers:
            return found + [result("material").format(study=name, seed=seed) for seed in self.showers[name].seeds]
        if section == "magis":
            found = [*found, result("catalogue").format(run=name)]
            return found + ([result("electrons").format(run=name, block=block) for block in self.shots.blocks(name)] if name in self.imaging else [])
        return found

    def check_targets(self, targets: Iterable[str]) -> None:
        """Raises InputError for a path below results/ that no entry makes, naming the nearest one that is made."""
        names = {"magis": list(self.magis)} | {section: list(getattr(self.config, section)) for section in ("dune", "design", "gallery")}
        for target in targets:
            parts = Path(target).parts
            if not target.startswith("results/") or target == REPORT or parts[1] == "report":
                continue
            section, name = (parts[1], parts[2]) if len(parts) > 3 and parts[1] in names else ("", "")
            # Only the entry that is meant is looked through: a year of nights has millions of shots.
            meant = [name] if name in names.get(section, ()) else difflib.get_close_matches(name, names.get(section, ()), n=1)
            entries = [(section, other) for other in meant] or [(kind, other) for kind in names for other in names[kind][-1:]]
            known = [path for kind, other in entries for path in self.known(kind, other)]
            if target not in known:
                raise InputError(f"{target}: no entry of the configuration makes this product{nearest(target, known)}\n{_kinds()}")


def _of(entries: dict[str, Any], kind: type[Entry]) -> dict[str, Any]:
    return {name: entry for name, entry in entries.items() if isinstance(entry, kind)}


def _nights(entry: Any, asked: str | None) -> list[str]:
    """Nights of a nightly entry that are there, and the one that is asked for where the raw files are made first."""
    made = [asked] if entry.simulate and asked and is_night(asked) else []
    return sorted({*nights_below(entry.raw), *made})


def _kinds() -> str:
    return "products: " + ", ".join(f"results/{where}" for where in WHERE.values())
