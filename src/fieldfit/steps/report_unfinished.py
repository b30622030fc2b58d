"""The page of a night that could not be finished: what is done, what is not, and why."""

import logging
from pathlib import Path

import numpy as np

from fieldfit.io.products import open_product
from fieldfit.paths import night_page
from fieldfit.plan import Night, Plan
from fieldfit.report.alarms import Alarm, told
from fieldfit.report.night import RunOfNight
from fieldfit.report.quantities import Quantity, measured
from fieldfit.steps.estimate_phase import estimate_phase
from fieldfit.steps.report_night import provenance_line, seconds_of, write_night
from fieldfit.types import InputError, Status

log = logging.getLogger(__name__)


def report_unfinished(plan: Plan, night: Night, logs: Path = Path("logs")) -> Path:
    """Write the night's page and alarms without running anything, and return the page's path."""
    page = Path(night_page(night.name)[0])
    runs, alarms = [], []
    for name in night.runs:
        run, raised = _run(plan, name, logs)
        runs.append(run)
        alarms += raised
    write_night(night.name, runs, alarms, page, plan.config.alarms, night.absent)
    return page


def _run(plan: Plan, name: str, logs: Path) -> tuple[RunOfNight, list[Alarm]]:
    """A run as far as it came. A block that is not done has an alarm with the last line of its log."""
    wanted = [Path(path) for path in plan.products("magis", name)]
    absent = [path for path in wanted if not path.is_file()]
    seconds = seconds_of(logs / "magis" / name)
    blocks = [path for path in wanted if path.parent.name == "density"]
    done = [path for path in blocks if path.is_file()]
    waiting = [f"{name}: {path.relative_to('results/magis')} is not done{_last_words(path, name, logs)}" for path in absent[:20]]
    if len(absent) > 20:
        waiting.append(f"{name}: and {len(absent) - 20} more")
    figures, reasons, product = {}, {}, None
    last = wanted[-1]
    if done and not last.is_file():
        last = Path("results/magis") / name / ".unfinished_phase.nc"
        try:
            estimate_phase(done, last, plan.imaging[name])
        except InputError as error:
            waiting.append(f"{name}: {error}")
    if last.is_file():
        product = open_product(last, "phase" if name in plan.imaging or name in plan.pictures else wanted[-1].stem).load()
        product.close()
        status = product.status.values
        received = sum(len(block.shots) for block in plan.blocks(name).values()) if name in plan.imaging else len(status)
        reasons = {Status(int(flag)).name: int((status == flag).sum()) for flag in np.unique(status) if flag != Status.good}
        reasons |= {"unprocessed": received - len(status)} if received > len(status) else {}
        good = int((status == Status.good).sum())
        figures = {"shots received": Quantity(received, "1"), "shots good": Quantity(good, "1"), "share flagged": Quantity(1 - good / received, "1")}
        figures |= measured(product)
    for left in (Path("results/magis") / name).glob(".unfinished_phase.nc*"):  # and its checksum
        left.unlink()
    raised = [told(name, "not done", f"{len(absent)} of {len(wanted)} products are not done")] if absent else []
    return RunOfNight(name, product, figures, reasons, seconds, [provenance_line(path) for path in wanted if path.is_file()][-2:], waiting), raised


def _last_words(product: Path, run: str, logs: Path) -> str:
    """The last line of the log of the job that should have made it."""
    found = [path for path in (logs / "magis" / run).rglob("*.log") if path.stem == product.stem or path.parent.name == product.stem]
    for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True):
        lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
        if lines and (" in " not in lines[-1] or not lines[-1].endswith(" s")):
            return f": {lines[-1][:300]}"
    return ""
