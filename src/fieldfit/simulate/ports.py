"""Port runs of known phase: binomial atom counts under a uniformly random laser phase, written as the DAQ writes them.

    share_i = [1 + C(s) cos(laser_s + offset_i + h_i / h_max (signal_s + couplings_s))] / 2

C drifts linearly with the shot's index and stands still in the gaps. Nothing is shared with the fit's own forward model.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import h5py
import numpy as np


@dataclass(frozen=True)
class Truth:
    """What a run holds, in the names of the reference truth file; couplings act fully on the highest interferometer."""

    offsets: tuple[float, ...] = (0.0, 1.1, 2.1)
    amplitude_rad: float = 0.012
    frequency_hz: float = 0.173
    phase_rad: float = 0.4
    curv: float = -1.2e5  # rad / m^2
    lin: float = 18.0  # rad / m
    stark: float = 0.6  # rad per relative intensity
    contrast: tuple[float, float] = (0.78, 0.70)
    noise_rad: float = 0.0  # extra white phase noise of each interferometer a shot


@dataclass(frozen=True)
class PortRun:
    """The arrays of a run's file."""

    counts: np.ndarray
    time: np.ndarray
    daq_status: np.ndarray
    height: np.ndarray
    position: np.ndarray
    intensity: np.ndarray


def simulate_run(
    truth: Truth,
    shots: int,
    atoms: float,
    generator: np.random.Generator,
    missing: int = 4,
    weak: int = 4,
    gaps: tuple[tuple[float, float], ...] = ((0.35, 90.0), (0.7, 40.0)),
) -> PortRun:
    """One run at 1 Hz. gaps: (share of the shots after which the run stops, for how many seconds)."""
    interferometers = len(truth.offsets)
    index = np.arange(shots)
    time = index + sum((index >= int(share * shots)) * seconds for share, seconds in gaps)
    height = np.linspace(0.0, 100.0, interferometers)
    place = generator.normal(0, 6e-5, (shots, 2))
    intensity = generator.normal(0, 2e-3, shots)
    signal = truth.amplitude_rad * np.sin(2 * np.pi * truth.frequency_hz * time + truth.phase_rad)
    common_to_height = signal + truth.curv * (place**2).sum(1) + truth.lin * place[:, 0] + truth.stark * intensity
    laser = generator.uniform(-np.pi, np.pi, shots)
    phase = laser[:, None] + np.array(truth.offsets) + common_to_height[:, None] * height / height[-1]
    phase = phase + generator.normal(0, truth.noise_rad, phase.shape)
    contrast = np.linspace(*truth.contrast, shots)[:, None]
    number = generator.poisson(atoms, (shots, interferometers))
    bad = generator.choice(shots, missing + weak, replace=False)
    number[bad[missing:], generator.integers(0, interferometers, weak)] = int(0.02 * atoms)
    first = generator.binomial(number, (1 + contrast * np.cos(phase)) / 2)
    counts = np.stack([first, number - first], -1)
    counts[bad[:missing]] = 0
    status = np.zeros(shots, np.uint8)
    status[bad[:missing]] = 1
    measured = place + generator.normal(0, 2e-6, place.shape)
    return PortRun(counts, time.astype(float), status, height, measured, intensity + generator.normal(0, 1e-4, shots))


def write_run(run: PortRun, truth: Truth, output: Path, truth_file: Path) -> None:
    """The HDF5 file that io.ports reads, and the truth beside it, each whole or not at all."""
    output.parent.mkdir(parents=True, exist_ok=True)
    truth_file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = output.with_name(f".{output.name}.part")
    with h5py.File(unfinished, "w") as file:
        file["counts"], file["time_s"], file["daq_status"] = run.counts, run.time, run.daq_status
        file["height_m"], file["cloud_position_m"], file["relative_intensity"] = run.height, run.position, run.intensity
    unfinished.replace(output)
    unfinished = truth_file.with_name(f".{truth_file.name}.part")
    unfinished.write_text(json.dumps({"run": asdict(truth)}, indent=1))
    unfinished.replace(truth_file)
