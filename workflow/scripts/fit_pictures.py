from pathlib import Path

from fieldfit.steps.fit_pictures import fit_pictures
from fieldfit.steps.runner import step

with step(snakemake, "magis") as job:
    fit_pictures(Path(job.input[0]), job.output, job.entry)
