from pathlib import Path

from fieldfit.steps.fit_visibility import fit_visibility
from fieldfit.steps.runner import step

with step(snakemake, "dune") as job:
    fit_visibility(Path(job.input[0]), job.output, job.entry)
