from pathlib import Path

from fieldfit.steps.match_flashes import match_flashes
from fieldfit.steps.runner import step

with step(snakemake, "dune") as job:
    calibration = job.input.get("calibration")
    match_flashes(Path(job.input.visibility), Path(calibration) if calibration else None, Path(job.input.flashes), job.output, job.entry)
