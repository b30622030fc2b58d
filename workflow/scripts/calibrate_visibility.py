from pathlib import Path

from fieldfit.steps.calibrate_visibility import calibrate_visibility
from fieldfit.steps.runner import step

with step(snakemake, "dune") as job:
    calibrate_visibility(Path(job.input.visibility), Path(job.input.tracks), job.output, job.entry)
