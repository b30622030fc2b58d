from fieldfit.steps.estimate_toy import estimate_toy
from fieldfit.steps.runner import step

with step(snakemake, "design") as job:
    estimate_toy(job.output, job.entry)
