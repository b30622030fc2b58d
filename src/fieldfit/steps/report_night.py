"""The page of a night and its alarms, from the runs' products and catalogues."""

import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fieldfit.config.operation import Alarms
from fieldfit.io.products import attributes_of, open_product, provenance_line, read_columns
from fieldfit.io.whole import whole
from fieldfit.nights import is_night
from fieldfit.report.alarms import Alarm, failed_rows, raised, told
from fieldfit.report.night import RunOfNight, night_page
from fieldfit.report.quantities import counted, measured, paced
from fieldfit.sizes import seconds_by_step

log = logging.getLogger(__name__)


def report_night(
    night: str,
    products: Sequence[Path],
    catalogues: Sequence[Path],
    output: Path,
    limits: Alarms,
    absent: Sequence[str] = (),
    logs: Path = Path("logs"),
) -> None:
    """Write `output` (HTML) and `alarms.json` beside it.

    products, catalogues: one of each a run; absent: nightly runs that have no shots this night; logs: where the steps' seconds lie.
    """
    runs = [_run(path, catalogue, logs) for path, catalogue in zip(products, catalogues, strict=True)]
    alarms = [told(run.name, "unreadable", line.removeprefix(f"{run.name}: ")) for run in runs for line in run.waiting]
    write_night(night, runs, alarms, output, limits, absent)


def write_night(night: str, runs: Sequence[RunOfNight], alarms: Sequence[Alarm], output: Path, limits: Alarms, absent: Sequence[str] = ()) -> None:
    """The page of these runs and its alarms: those given, and those that the limits raise."""
    last = {run.name: earlier(output, night, run.name, limits.last_nights) for run in runs}
    found = list(alarms)
    for run in runs:
        found += raised(run.name, run.figures, limits, last[run.name])
        found += failed_rows(run.name, run.product) if limits.budget and run.product is not None else []
    found += [told(name, "shots received", "no shots this night") for name in absent]
    for alarm in found:
        log.warning("%s", alarm.text)
    machine = {
        "night": night,
        "finished": not any(run.waiting for run in runs),
        "alarms": [{"run": a.run, "figure": a.figure, "value": _plain(a.value), "limit": _plain(a.limit), "text": a.text} for a in found],
        "waiting": [line for run in runs for line in run.waiting],
        "runs": {
            run.name: {
                "figures": {name: {"value": _plain(figure.value), "units": figure.units} for name, figure in run.figures.items()},
                "flagged": dict(run.reasons),
            }
            for run in runs
        },
    }
    with whole(output) as unfinished:
        unfinished.write_text(night_page(night, runs, found, last))
    with whole(output.with_name("alarms.json")) as unfinished:
        unfinished.write_text(json.dumps(machine, indent=1) + "\n")


def _run(path: Path, catalogue: Path, logs: Path) -> RunOfNight:
    kind = str(attributes_of(path, "a run's last product")["product"])
    product = open_product(path, kind, chunks={})  # a night is large
    listed, said = read_columns(catalogue, "catalogue", ("shot", "status"))  # and the places of its files are the most of its catalogue
    name = path.parent.name
    figures, reasons = counted(**listed)
    seconds = seconds_by_step(logs / "magis" / name)
    figures |= measured(product) | paced(seconds, int(figures["shots received"].value))
    unreadable = str(said.get("unreadable", "none"))
    waiting = [f"{name}: cannot be read: {line}" for line in unreadable.split("\n") if unreadable != "none"]
    return RunOfNight(name, product, figures, reasons, seconds, [provenance_line(path), provenance_line(catalogue)], waiting)


def earlier(output: Path, night: str, run: str, count: int) -> list[dict[str, float]]:
    """Figures of a run's last `count` nights before this one, the latest last; none for a run that is no night's."""
    if not is_night(night):
        return []
    found = []
    before = sorted(path for path in output.parent.parent.glob("*/alarms.json") if is_night(path.parent.name) and path.parent.name < night)
    for path in before[-count:]:
        named = json.loads(path.read_text())["runs"].get(run.removesuffix(night) + path.parent.name)
        if named:
            found.append({name: _value(figure["value"]) for name, figure in named["figures"].items()})
    return found


def _plain(value: float) -> float | None:
    """JSON knows no NaN."""
    return value if math.isfinite(value) else None


def _value(plain: Any) -> float:
    return math.nan if plain is None else float(plain)
