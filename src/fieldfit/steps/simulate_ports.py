"""Make a port run of known phase."""

from pathlib import Path

import numpy as np

from fieldfit.config.magis import Ports, SimulateRun
from fieldfit.simulate.ports import Truth, simulate_run, write_run


def simulate_ports(output: Path, truth: Path, entry: Ports) -> None:
    """Draw the run of an entry's `simulate` key and write it with its truth."""
    wanted = entry.simulate or SimulateRun()
    known = Truth(offsets=wanted.offsets_rad, amplitude_rad=wanted.signal_rad, frequency_hz=wanted.signal_hz)
    run = simulate_run(known, wanted.shots, wanted.atoms, np.random.default_rng(entry.seed))
    write_run(run, known, Path(output), Path(truth))
