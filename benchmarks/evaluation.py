"""How many points a second a visibility field gives for all channels, beside trilinear interpolation of the table that it replaces.

    uv run python benchmarks/evaluation.py [VOXELS_X VOXELS_Y VOXELS_Z]        default: ICARUS, 74 77 394

The field has the default size (2 members of 3 layers of 96 units) and random weights: its cost does not depend on them. No channels share a
head. Trilinear: SciPy's RegularGridInterpolator (one thread), and torch's grid_sample. Prints a Markdown table: (point, all channels) a second,
the best of some repeats, by the clock and a CPU-second; memory of the weights or of the table. On a GPU as well where there is one.
"""

import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from scipy.interpolate import RegularGridInterpolator

from fieldfit.config.dune import VisibilityFit
from fieldfit.fields.calibrated import CalibratedField
from fieldfit.fields.visibility import VisibilityField
from fieldfit.forward.visibility import in_chunks

PITCH = 0.05  # m
REPEATS = 5
DEGREE = 5  # of a calibration's terms


def field_of(channels: int, size: np.ndarray) -> VisibilityField:
    """Disks on both walls along x, all with light of their own."""
    random, settings = np.random.default_rng(0), VisibilityFit()
    centre = random.random((channels, 3)) * size
    centre[:, 0] = np.where(np.arange(channels) % 2, -0.1, size[0] + 0.1)
    normal = np.where(np.arange(channels) % 2, 1.0, -1.0)[:, None] * [1.0, 0, 0]
    half = (size / 2).tolist()
    return VisibilityField(centre.tolist(), normal.tolist(), [0.1] * channels, half, half, settings.width, settings.depth).eval()


def best(evaluate: Callable[[], object], points: int) -> tuple[float, float]:
    """Points a second, and a CPU-second."""
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter(), time.process_time()
        evaluate()
        seconds.append((time.perf_counter() - began[0], time.process_time() - began[1]))
    wall, cpu = (min(column) for column in zip(*seconds, strict=True))
    return points / wall, points / cpu


def row(method: str, device: str, channels: int, rate: tuple[float, float], size: int) -> None:
    """One line of the table."""
    print(f"| {channels} | {method} | {device} | {rate[0]:,.0f} | {rate[1]:,.0f} | {size / 1e6:.2f} MB |", flush=True)


@torch.no_grad()
def measure(channels: int, divisions: tuple[int, int, int], device: torch.device, threads: int, points: int) -> None:
    """Field and grid_sample on one device."""
    torch.set_num_threads(threads)
    name = f"{threads} threads" if device.type == "cpu" else torch.cuda.get_device_name()
    size = np.array(divisions) * PITCH
    x = (torch.rand(points, 3) * torch.tensor(size, dtype=torch.float32)).to(device)
    field = field_of(channels, size).to(device)

    def waited(values: torch.Tensor) -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()
        assert len(values) == points

    calibrated = CalibratedField(field.settings(), DEGREE).to(device)
    for kind, what in (("field", field), ("calibrated field", calibrated)):
        size_of = 4 * sum(p.numel() for p in [*what.parameters(), *(b for b in what.buffers() if b.is_floating_point())])
        row(kind, name, channels, best(lambda what=what: waited(in_chunks(what, x)), points), size_of)
    table = torch.rand(1, channels, *divisions, device=device)
    place = (2 * x / torch.tensor(size, dtype=torch.float32, device=device) - 1).flip(-1).reshape(1, points, 1, 1, 3)
    sample = lambda: torch.nn.functional.grid_sample(table, place, align_corners=False, padding_mode="border")[0, :, :, 0, 0].T  # noqa: E731
    row("trilinear, grid_sample", name, channels, best(lambda: waited(sample()), points), 4 * table.numel())


def measure_scipy(channels: int, divisions: tuple[int, int, int], points: int) -> None:
    """RegularGridInterpolator."""
    random = np.random.default_rng(0)
    axes = [(np.arange(n) + 0.5) * PITCH for n in divisions]
    table = random.random((*divisions, channels), np.float32)
    interpolator = RegularGridInterpolator(axes, table, bounds_error=False, fill_value=None)
    x = random.random((points, 3)) * np.array(divisions) * PITCH
    row("trilinear, SciPy", "1 thread", channels, best(lambda: interpolator(x), points), table.nbytes)


def main(divisions: tuple[int, int, int]) -> None:
    """Print the table."""
    print("| channels | method | on | (point, all channels) a second | a CPU-second | memory |\n|---|---|---|---|---|---|")
    for channels in (10, 48, 180):
        for threads in (1, 2):
            measure(channels, divisions, torch.device("cpu"), threads, 20_000)
        measure_scipy(channels, divisions, 5_000)
        if torch.cuda.is_available():
            measure(channels, divisions, torch.device("cuda"), 1, 1_000_000)


if __name__ == "__main__":
    main(tuple(int(n) for n in sys.argv[1:4]) if len(sys.argv) == 4 else (74, 77, 394))  # type: ignore[arg-type]
