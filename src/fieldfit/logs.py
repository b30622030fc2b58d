"""What the jobs' logs tell: why a product was not made."""

from pathlib import Path


def last_words(logs: Path, rule: str, product: Path) -> str:
    """The last line of the log of the job that should have made a product, empty where the job was done or never began.

    logs: the folder of a run's logs. The last line of a job that was done is `PRODUCT in 3.2 s` (steps.runner).
    """
    log = logs / rule / f"{product.stem}.log" if (logs / rule).is_dir() else logs / f"{rule}.log"
    if not log.is_file():
        return ""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    if not lines:
        return "ended without a word: killed?"
    return "" if lines[-1].endswith(" s") and " in " in lines[-1] else lines[-1]
