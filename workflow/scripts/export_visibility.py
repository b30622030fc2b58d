from pathlib import Path

from fieldfit.steps.export_visibility import export_visibility
from fieldfit.steps.runner import step

with step(snakemake, "dune") as job:
    calibration = job.input.get("calibration")
    export_visibility(Path(job.input.visibility), Path(calibration) if calibration else None, job.output.parent, job.entry)
