"""The page of a night that could not be finished: what is done, what is not, and why."""

from pathlib import Path

import numpy as np

from fieldfit.io.products import open_product, provenance_line
from fieldfit.logs import last_words
from fieldfit.paths import night_page
from fieldfit.plan import Night, Plan
from fieldfit.report.alarms import Alarm, told
from fieldfit.report.night import RunOfNight
from fieldfit.report.quantities import Quantity, measured
from fieldfit.sizes import seconds_by_step
from fieldfit.steps.estimate_phase import estimate_phase
from fieldfit.steps.report_night import write_night
from fieldfit.types import InputError, Status

SHOWN = 20  # failures of a run that are told one by one


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
    missing = [(rule, Path(path)) for rule, paths in plan.steps_of(name).items() for path in paths if not Path(path).is_file()]
    seconds = seconds_by_step(logs / "magis" / name)
    blocks = [path for path in wanted if path.parent.name == "density"]
    done = [path for path in blocks if path.is_file()]
    told_of = [(path, last_words(logs / "magis" / name, rule, path)) for rule, path in missing]
    waiting = [f"{name}: {path.relative_to('results/magis')} is not done: {words[:300]}" for path, words in told_of if words][:SHOWN]
    waiting += [f"{name}: {len(missing)} products are not done"] if missing else []
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
        received = sum(len(block.shots) for block in plan.shots.blocks(name).values()) if name in plan.imaging else len(status)
        reasons = {Status(int(flag)).name: int((status == flag).sum()) for flag in np.unique(status) if flag != Status.good}
        reasons |= {"unprocessed": received - len(status)} if received > len(status) else {}
        good = int((status == Status.good).sum())
        figures = {"shots received": Quantity(received, "1"), "shots good": Quantity(good, "1"), "share flagged": Quantity(1 - good / received, "1")}
        figures |= measured(product)
    for left in (Path("results/magis") / name).glob(".unfinished_phase.nc*"):  # and its checksum
        left.unlink()
    raised = [told(name, "not done", f"{len(missing)} products are not done")] if missing else []
    return RunOfNight(name, product, figures, reasons, seconds, [provenance_line(path) for path in wanted if path.is_file()][-2:], waiting), raised
