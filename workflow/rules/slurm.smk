"""What the executor of Slurm does not do by itself: wait for a controller that is away."""

import sys
import time

ANSWER_S = 3600  # how long a controller may be away before its jobs are given up
ASK_S = 5


def waiting(ask):
    """Of the executor's question that comes before each look at the jobs: asked again until the controller answers.

    Unanswered, the executor takes sacct for squeue, which fails at once where there is no accounting; and after its attempts it never looks at the
    jobs again, so that Snakemake waits for ever.
    """

    def asked():
        end = time.monotonic() + ANSWER_S
        while (answer := ask()) is None and time.monotonic() < end:
            time.sleep(ASK_S)
        return answer

    return asked


executor = sys.modules.get("snakemake_executor_plugin_slurm")
if executor:
    executor.get_min_job_age = waiting(executor.get_min_job_age)
