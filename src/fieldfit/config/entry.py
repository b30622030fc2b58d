"""What every section of the configuration is made of."""

from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Device = Literal["auto", "cpu", "cuda"]
ONE_STAR = r"^[^*/]*\*[^*/]*$"  # a file name with one * in it
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]


def _seconds(value: Any) -> Any:
    """Seconds since 1970 of a date, taken as UTC without a zone; anything else as it is."""
    if isinstance(value, date):
        value = value.isoformat()
    if not isinstance(value, str):
        return value
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("expected seconds or a date, YYYY-MM-DDThh:mm:ssZ") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


Time = Annotated[float, BeforeValidator(_seconds, json_schema_input_type=float | str), Field(allow_inf_nan=False)]


class Entry(BaseModel):
    """Every model is closed (unknown keys are errors) and frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)
