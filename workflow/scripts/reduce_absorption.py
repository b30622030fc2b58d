from fieldfit.steps.reduce_absorption import reduce_absorption
from fieldfit.steps.runner import step

with step(snakemake, "magis") as job:
    reduce_absorption(job.entry.raw, job.output, job.entry)
