from fieldfit.steps.optimise_material import optimise_material
from fieldfit.steps.runner import step

with step(snakemake, "design") as job:
    optimise_material(job.output, job.entry, int(job.wildcards.seed))
