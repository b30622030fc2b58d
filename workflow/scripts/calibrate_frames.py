from pathlib import Path

from fieldfit.steps.calibrate_frames import calibrate_frames
from fieldfit.steps.runner import step

with step(snakemake, "magis") as job:
    sensors = [Path(path) for path in job.input.sensors]
    calibrate_frames(job.entry.raw, Path(job.input.cameras), job.output, job.entry, job.params.shots, sensors)
