from pathlib import Path

from fieldfit.io.workers import workers
from fieldfit.steps.read_library import read_library
from fieldfit.steps.runner import step

if __name__ == "__main__":  # a worker process imports this file too
    logs = Path(snakemake.log[0]).with_name("workers")
    with step(snakemake, "dune") as job, workers(job.threads, job.resources, job.output.parent, logs) as hands:
        read_library(Path(job.input.library), job.entry.channels, job.output, job.entry, hands)
