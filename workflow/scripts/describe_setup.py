from pathlib import Path

from fieldfit.steps.describe_setup import describe_setup
from fieldfit.steps.runner import step

with step(snakemake, "magis") as job:
    describe_setup(Path(job.input[0]), job.output, job.entry)
