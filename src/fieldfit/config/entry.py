"""What every section of the configuration is made of."""

from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Device = Literal["auto", "cpu", "cuda"]
LONGEST = 1024  # characters of a text
LARGEST = 2**31 - 1  # of a whole number: products hold them in 32 bits
ONE_STAR = r"^[^*/]*\*[^*/]*$"  # a file name with one * in it
# Names become folders and files of results/.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=100)]
NAMED = "letters, digits, _ and -, the first a letter or a digit, 100 at most: it names files"
Seed = Annotated[int, Field(ge=0, lt=2**31)]


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
    """Every model is closed (unknown keys are errors) and frozen; its numbers are finite."""

    @model_validator(mode="before")
    @classmethod
    def _printable(cls, given: Any) -> Any:
        """No key means an empty text, nor one that a file's name cannot have."""
        for key, value in given.items() if isinstance(given, dict) else ():
            if isinstance(value, str) and (not value.strip() or len(value) > LONGEST or not value.isprintable()):
                raise ValueError(f"key '{key}' is {value[:80]!r}, expected text of printable characters, {LONGEST} at most")
            if isinstance(value, str) and set("{}") & set(value.replace("{night}", "")):
                raise ValueError(f"key '{key}' is '{value}', expected no braces but {{night}}: Snakemake takes them for wildcards")
        return given

    @model_validator(mode="after")
    def _countable(self) -> Self:
        """No key counts further than products can."""
        for key in type(self).model_fields:
            value = getattr(self, key)
            for number in value if isinstance(value, tuple) else (value,):
                if isinstance(number, int) and abs(number) > LARGEST:
                    told = number if abs(number) < 10**40 else f"of {number.bit_length()} bits"
                    raise ValueError(f"key '{key}' is a whole number {told}, expected {LARGEST} at most")
        return self

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
