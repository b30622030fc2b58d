from pathlib import Path

from fieldfit.steps.evaluate_design import evaluate_design
from fieldfit.steps.runner import step

with step(snakemake, "design") as job:
    evaluate_design([Path(path) for path in job.input], job.output, job.entry)
