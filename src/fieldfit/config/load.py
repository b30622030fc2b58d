"""The whole configuration: read, checked, and what is wrong with it told by key."""

import json
from datetime import date
from typing import Annotated, Any, Union, get_args

from pydantic import BaseModel, BeforeValidator, Discriminator, Field, Tag, ValidationError, model_validator

from fieldfit.config.design import Annulus, EllipticAnnulus, Shower, Study, Toy
from fieldfit.config.dune import Library, LibraryFormat
from fieldfit.config.entry import Entry, Name
from fieldfit.config.gallery import Tomography
from fieldfit.config.magis import Absorption, Imaging, Pictures, Ports
from fieldfit.config.operation import Alarms
from fieldfit.types import InputError, nearest


def _by(key: str, **models: str) -> Discriminator:
    """Choose the model of an entry by one of its keys, so that errors speak of that model only."""

    def pick(value: Any) -> str | None:
        found = value.get(key) if isinstance(value, dict) else getattr(value, key, None)
        return models.get(str(found))

    return Discriminator(pick)


Magis = Annotated[
    Union[  # noqa: UP007
        Annotated[Imaging, Tag("imaging")],
        Annotated[Ports, Tag("ports")],
        Annotated[Pictures, Tag("pictures")],
        Annotated[Absorption, Tag("absorption")],
    ],
    _by("format", tiff="imaging", fits="imaging", hdf5="imaging", ports="ports", pictures="pictures", absorption="absorption"),
]
# `--config night=2026-11-25` is text, the same in a YAML file is a date.
Night = Annotated[str, BeforeValidator(lambda value: value.isoformat() if type(value) is date else value)]
Dune = Library
Design = Annotated[
    Union[Annotated[Shower, Tag("shower")], Annotated[Toy, Tag("toy")]],  # noqa: UP007
    _by("model", shower_2d="shower", published_toy="toy"),
]
Gallery = Tomography


class Config(Entry):
    """Four sections; each maps a name of the user's choice to one entry."""

    magis: dict[Name, Magis] = Field(default_factory=dict, description="runs of the atom interferometer")
    dune: dict[Name, Dune] = Field(default_factory=dict, description="optical libraries")
    design: dict[Name, Design] = Field(default_factory=dict, description="detector studies")
    gallery: dict[Name, Gallery] = Field(default_factory=dict, description="the same equation elsewhere")
    night: Night | None = Field(
        None,
        description="the night that `nightly` makes: YYYY-MM-DD of the runs whose `raw` holds `{night}`, or the name of a magis run "
        "(default: the latest night, or the last run listed)",
    )
    alarms: Alarms = Field(default_factory=Alarms, description="limits on a night's figures that raise an alarm")

    @model_validator(mode="after")
    def _something_to_do(self) -> "Config":
        if not (self.magis or self.dune or self.design or self.gallery):
            raise ValueError("no entry under magis, dune, design or gallery: nothing to do")
        return self


ENTRY_MODELS: dict[str, dict[str, type[Entry]]] = {
    "magis": {"tiff": Imaging, "fits": Imaging, "hdf5": Imaging, "ports": Ports, "pictures": Pictures, "absorption": Absorption},
    "dune": dict.fromkeys(get_args(LibraryFormat), Library),
    "design": {"shower_2d": Shower, "published_toy": Toy},
    "gallery": {"tomography": Tomography},
}


def load_config(mapping: dict[str, Any], source: str = "configuration") -> Config:
    """The validated configuration.

    Raises InputError with one line a fault: where it is, what was found, what was expected, and the nearest valid key.
    """
    try:
        return Config.model_validate(mapping)
    except ValidationError as error:
        lines = [_explain(fault) for fault in error.errors()]
        raise InputError("\n".join(f"{source}: {line}" for line in lines)) from None


def load_entry(section: str, mapping: dict[str, Any]) -> Any:
    """One entry back from the plain values that a rule carries in its params."""
    config = Config.model_validate({section: {"entry": mapping}})
    return getattr(config, section)["entry"]


def load_study(entry: Shower) -> Study:
    """The study of an entry, in place or from its JSON file. Raises InputError naming the file and the key, also for a geometry that cannot be."""
    if isinstance(entry.study, Study):
        return _possible(entry.study, "study")
    try:
        return _possible(Study.model_validate(json.loads(entry.study.read_text())), str(entry.study))
    except FileNotFoundError:
        raise InputError(f"{entry.study}: no such file, expected a JSON study") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{entry.study}: not JSON ({error})") from None
    except ValidationError as error:
        raise InputError("\n".join(f"{entry.study}: {_explain(fault)}" for fault in error.errors())) from None


def _possible(study: Study, source: str) -> Study:
    """The study when its source lies in the disc and its region has room. Raises InputError."""
    if study.source[0] ** 2 + study.source[1] ** 2 >= study.radius**2:
        raise InputError(f"{source}: key 'source' is {study.source}, expected a point inside the disc of radius {study.radius:g}")
    region = study.region
    edges = [(region.inner, region.outer)] if isinstance(region, Annulus) else list(zip(region.inner, region.outer, strict=True))
    if any(not 0 < inner < outer for inner, outer in edges):
        raise InputError(f"{source}: key 'region' has inner {region.inner} and outer {region.outer}, expected 0 < inner < outer")
    return study


_TAGS: dict[str, type[BaseModel]] = {
    "imaging": Imaging,
    "ports": Ports,
    "pictures": Pictures,
    "absorption": Absorption,
    "shower": Shower,
    "toy": Toy,
    "Study": Study,
    "annulus": Annulus,
}
_TAGS["elliptic_annulus"] = EllipticAnnulus


def _explain(fault: Any) -> str:
    where = [str(part) for part in fault["loc"]]
    place = ".".join(part for part in where if part not in _TAGS) or "top level"
    found = fault.get("input")
    if fault["type"] == "extra_forbidden":
        keys = _keys_at(where[:-1])
        return f"unknown key '{place}'{nearest(where[-1], keys)} (known here: {', '.join(sorted(keys))})"
    if fault["type"] == "missing":
        return f"key '{place}' is missing, expected {_description(where)}"
    if fault["type"] in ("union_tag_invalid", "union_tag_not_found"):
        section = where[0] if where else ""
        key, known = ("model", ENTRY_MODELS["design"]) if section == "design" else ("format", ENTRY_MODELS.get(section, {}))
        given = found.get(key) if isinstance(found, dict) else found
        return f"'{place}.{key}' is {given!r}, expected one of {', '.join(known)}{nearest(str(given), known)}"
    if fault["type"] == "value_error" and isinstance(found, dict):  # of a whole entry, whose text names its keys
        return f"'{place}': {fault['msg'].removeprefix('Value error, ')}"
    return f"'{place}' is {found!r}: {fault['msg']}"


def _model_at(where: list[str]) -> type[BaseModel]:
    """The model that a location inside the configuration belongs to."""
    model: type[BaseModel] = Config
    for part in where:
        if part in _TAGS:
            model = _TAGS[part]
        elif part in model.model_fields:
            inner = [a for a in (model.model_fields[part].annotation, *get_args(model.model_fields[part].annotation)) if isinstance(a, type)]
            models: list[type[BaseModel]] = [a for a in inner if issubclass(a, BaseModel)]
            model = models[0] if models else model
            model = Library if part == "dune" else model
    return model


def _keys_at(where: list[str]) -> list[str]:
    return list(_model_at(where).model_fields)


def _description(where: list[str]) -> str:
    field = _model_at(where[:-1]).model_fields.get(where[-1])
    return (field.description if field else None) or "a value"
