"""A night of MAGIS through the DAG: overhead of Snakemake, cost law of imaging, a pass with nothing to do, a late block, a year of closed nights.

Usage: uv run python benchmarks/night.py [imaging] [law] [ports] [year] [--shots 3600] [--block-size 12] [--profile slurm] [--cores 2]
Prints a Markdown table a part. Shots are simulated once and linked: each file name is a shot of its own.
"""

import argparse
import csv
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import h5py
import numpy as np
import torch
import yaml

from fieldfit.config.load import load_config, load_entry
from fieldfit.plan import Plan
from fieldfit.simulate.ports import Truth, simulate_run, write_run
from fieldfit.steps.simulate_shots import simulate_shots

CHECKOUT = Path(__file__).parents[1]
NIGHT = "2026-11-25"
SIMULATED = 60
CALM = {name: None for name in ("flagged_share", "missing_share", "chi2_reduced", "contrast", "atom_number_change")} | {"budget": False}
CLOUDS = {
    "format": "tiff",
    "raw": "data/{night}/shots",
    "cameras": "data/cameras.json",
    "grid": {"voxels": 32},
}


def snakemake(folder: Path, *words: str, profile: str | None = None, cores: int = 2) -> tuple[float, str]:
    """(wall seconds, what it printed) of `snakemake` in the folder; status 3, alarms, is as good as 0."""
    where = ["--profile", str(CHECKOUT / "profiles" / profile)] if profile else ["--cores", str(cores)]
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(CHECKOUT / "Snakefile"), "--directory", str(folder), *where, *words]
    path = os.environ["PATH"] if profile else f"{CHECKOUT / 'tests/workflow/no_slurm'}:{os.environ['PATH']}"  # where a stopped Slurm is installed
    began = time.perf_counter()
    run = subprocess.run(
        [*command, "--configfile", str(folder / "c.yaml")], capture_output=True, text=True, check=False, env=os.environ | {"PATH": path}
    )
    if run.returncode not in (0, 3):
        raise SystemExit(run.stdout[-3000:] + run.stderr[-6000:])
    return time.perf_counter() - began, run.stdout + run.stderr


def write_config(folder: Path, magis: dict) -> None:
    (folder / "c.yaml").write_text(yaml.safe_dump({"magis": magis, "night": NIGHT, "alarms": CALM}))


def job_seconds(folder: Path) -> dict[str, list[tuple[float, float]]]:
    """(wall seconds of the job, seconds of its step alone, which leaves out Python's start and the imports) by rule."""
    found = defaultdict(list)
    for file in (folder / "logs").rglob("*.tsv"):
        rule = file.stem if file.parent.parent.parent == folder / "logs" or file.parent.parent.name == "report" else file.parent.name
        with file.open() as stream:
            wall = sum(float(row["s"]) for row in csv.DictReader(stream, delimiter="\t"))
        log = file.with_suffix(".log")
        said = re.findall(r" in ([\d.]+) s$", log.read_text(), re.M) if log.is_file() else []
        found[rule].append((wall, float(said[-1]) if said else float("nan")))
    return found


def make_shots(folder: Path, shots: int) -> None:
    """A folder of shots, of which SIMULATED differ."""
    keys = CLOUDS | {"raw": "r", "simulate": {"shots": SIMULATED, "photons": 2e8, "dark": "none"}}
    store = folder / "store"
    simulate_shots(store, folder / "data/cameras.json", folder / "truth.json", load_entry("magis", keys))
    files = sorted(store.iterdir())
    (folder / f"data/{NIGHT}/shots").mkdir(parents=True)
    for shot in range(shots):
        os.link(files[shot % len(files)], folder / f"data/{NIGHT}/shots/shot{shot:06d}.tif")


def imaging(asked: argparse.Namespace) -> None:
    """A night of imaging in miniature."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_shots(folder, asked.shots)
        write_config(folder, {"clouds": CLOUDS | {"block_size": asked.block_size}})
        last = asked.shots - asked.block_size
        held = [folder / f"data/{NIGHT}/shots/shot{shot:06d}.tif" for shot in range(last, asked.shots)]
        for path in held:  # the last block comes late
            path.rename(path.with_suffix(".later"))
        wall, _ = snakemake(folder, "nightly", profile=asked.profile, cores=asked.cores)
        jobs = job_seconds(folder)
        blocks = len(jobs["fit_density"])
        whole, alone = (sum(part[k] for own in jobs.values() for part in own) for k in (0, 1))
        print(f"\n{last} shots of six views in {blocks} blocks, {asked.cores} cores{', ' + asked.profile if asked.profile else ''}: {wall:.0f} s, ")
        print(f"{last / wall:.2f} shots/s\n\n| step | jobs | s a job | s a job without start and imports |\n|---|---|---|---|")
        for rule, own in sorted(jobs.items()):
            print(f"| {rule} | {len(own)} | {np.mean([w for w, _ in own]):.2f} | {np.nanmean([s for _, s in own]):.2f} |")
        beside = asked.cores  # a block's jobs have one thread each
        print(f"\noverhead of Snakemake, (wall - sum of jobs / {beside}) / wall: {1 - whole / beside / wall:.1%}")
        print(f"with the jobs' own start and imports: {1 - alone / beside / wall:.1%}")
        idle, said = snakemake(folder, "nightly", profile=asked.profile, cores=asked.cores)
        print(f"\na second pass: {idle:.1f} s ({'nothing to be done' if 'Nothing to be done' in said else 'IT DID SOMETHING'})")
        for path in held:
            path.with_suffix(".later").rename(path)
        late, said = snakemake(folder, "nightly", profile=asked.profile, cores=asked.cores)
        made = len(set(re.findall(r"output: \S*/density/(\d+).nc", said)))
        with tempfile.TemporaryDirectory() as other:
            lone = Path(other)
            make_shots(lone, asked.block_size)
            write_config(lone, {"clouds": CLOUDS | {"block_size": asked.block_size}})
            one, _ = snakemake(lone, "nightly", profile=asked.profile, cores=asked.cores)
        print(f"one late block of {asked.block_size}: {late:.1f} s ({made} block fitted); a night of that block alone {one:.1f} s; ", end="")
        print(f"ratio to it and the idle pass {late / (one + idle):.2f}")


def law(asked: argparse.Namespace) -> None:
    """Cost of a block: fixed and a shot. Where there is a GPU, fits have it one at a time and their own law, of jobs with Python's start."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    words = ["--resources", "gpu=1", "--set-resources", "fit_density:gpu=1"] if gpu else []
    rows: dict[str, list[tuple[int, float]]] = {"calibrate_frames": [], "fit_density": []}
    for size in asked.law_blocks:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            make_shots(folder, 2 * size)
            write_config(folder, {"clouds": CLOUDS | {"block_size": size}})
            snakemake(folder, "nightly", *words, cores=asked.cores)
            jobs = job_seconds(folder)
            for rule, found in rows.items():
                found += [(size, wall) for wall, _ in jobs[rule]]
    laws = {}
    for rule, found in rows.items():
        shots, seconds = np.array(found).T
        each, fixed = laws[rule] = np.polyfit(shots, seconds, 1)
        machine = gpu if gpu and rule == "fit_density" else "one core"
        print(f"\n{rule}, a block of n shots on {machine}: {fixed:.1f} s + {each:.3f} s x n")
    for size in (12, 64, 256):
        hours = {rule: 86400 * (each + fixed / size) / 3600 for rule, (each, fixed) in laws.items()}
        cores = hours["calibrate_frames"] if gpu else sum(hours.values())
        of_gpu = f"{hours['fit_density']:.1f} hours of one {gpu}" if gpu else "GPU-hours: not measured, there is none"
        print(f"a night of 86,400 shots in blocks of {size}, extrapolated: {cores:.1f} core-hours; {of_gpu}")


def ports(asked: argparse.Namespace) -> None:
    """A night of port shots, and ten times as many. Peaks are Snakemake's samples; benchmarks/ports_night.py has the fit's true ones."""
    print("\n| shots | wall [s] | fit [s] | fit, peak [MB] | page [s] | page, peak [MB] | second pass [s] |\n|---|---|---|---|---|---|---|")
    for shots in asked.port_shots:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            run = simulate_run(Truth(), shots, 1e6, np.random.default_rng(1))
            write_run(run, Truth(), folder / f"data/{NIGHT}/ports.h5", folder / "truth.json")
            write_config(folder, {"ports": {"format": "ports", "raw": "data/{night}/ports.h5"}})
            wall, _ = snakemake(folder, "nightly", cores=asked.cores)
            told = {}
            for rule in (f"magis/ports-{NIGHT}/fit_gradiometer", f"report/{NIGHT}/report_night"):
                with (folder / f"logs/{rule}.tsv").open() as stream:
                    told[rule] = next(csv.DictReader(stream, delimiter="\t"))
            fit, page = told.values()
            idle, _ = snakemake(folder, "nightly", cores=asked.cores)
        mb = [float(row["max_rss"]) * 1.048576 for row in (fit, page)]
        print(f"| {shots:,} | {wall:.0f} | {float(fit['s']):.0f} | {mb[0]:.0f} | {float(page['s']):.0f} | {mb[1]:.0f} | {idle:.1f} |", flush=True)


def year(asked: argparse.Namespace) -> None:
    """Start and DAG of a night of 86,400 shots, and of a year of closed nights of which only the catalogues are read."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_config(folder, {"clouds": CLOUDS | {"block_size": asked.year_block}})
        shots = folder / f"data/{NIGHT}/shots"
        shots.mkdir(parents=True)
        for shot in range(86400):
            (shots / f"shot{shot:06d}.tif").touch()
        (folder / "data/cameras.json").write_text("{}")
        wall, said = snakemake(folder, "nightly", "-n", "-q", "rules", cores=asked.cores)
        jobs = next((line.split()[1] for line in said.splitlines() if line.startswith("total")), "?")
        print(f"\na night of 86,400 shots, {jobs} jobs: start and DAG {wall:.1f} s")
        for path in shots.iterdir():
            path.unlink()
        nights = [str(np.datetime64("2026-01-01") + day) for day in range(365)]
        for night in nights:
            (folder / f"data/{night}/shots").mkdir(parents=True, exist_ok=True)
        home = os.getcwd()
        os.chdir(folder)
        try:
            plan = Plan(load_config(yaml.safe_load((folder / "c.yaml").read_text())))
            for night in nights:
                path = folder / f"results/magis/clouds-{night}/catalogue.nc"
                path.parent.mkdir(parents=True)
                with h5py.File(path, "w") as file:
                    file.attrs["state"] = plan.state(f"clouds-{night}")
                    file["shot"], file["time"], file["status"] = np.arange(86400), np.arange(86400.0), np.zeros(86400, np.int8)
        finally:
            os.chdir(home)
        wall, said = snakemake(folder, "-n", "-q", "rules", cores=asked.cores)
        print(f"a year of nights, {365 * 86400:,} shots in 365 closed catalogues: start and DAG {wall:.1f} s")
        print(json.dumps({"jobs": [line for line in said.splitlines() if line.startswith("total")]}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["year", "ports", "law", "imaging"], help="year, ports, law, imaging")
    parser.add_argument("--shots", type=int, default=3600)
    parser.add_argument("--block-size", type=int, default=12)
    parser.add_argument("--year-block", type=int, default=256)
    parser.add_argument("--port-shots", type=int, nargs="+", default=[8640, 86400, 864000])
    parser.add_argument("--law-blocks", type=int, nargs="+", default=[4, 12, 48], help="shots of the blocks that the law is fitted to")
    parser.add_argument("--profile")
    parser.add_argument("--cores", type=int, default=2)
    asked = parser.parse_args()
    for part in asked.parts:
        {"imaging": imaging, "law": law, "ports": ports, "year": year}[part](asked)


if __name__ == "__main__":
    main()
