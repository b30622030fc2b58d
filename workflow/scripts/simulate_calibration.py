from fieldfit.steps.runner import step
from fieldfit.steps.simulate_calibration import simulate_calibration

with step(snakemake, "magis") as job:
    simulate_calibration(job.entry, job.params.calibration)
