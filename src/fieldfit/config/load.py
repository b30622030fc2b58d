"""The whole configuration: read, checked, and what is wrong with it told by key."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, Discriminator, Field, Tag, ValidationError, model_validator

from fieldfit.config.design import Annulus, EllipticAnnulus, Shower, Study, Toy
from fieldfit.config.dune import Library, LibraryFormat
from fieldfit.config.entry import NAMED, Entry, Name
from fieldfit.config.gallery import Tomography
from fieldfit.config.magis import Absorption, Imaging, Pictures, Ports
from fieldfit.config.operation import Alarms
from fieldfit.documents import read_document
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
    content = read_document(entry.study, "a JSON study")
    try:
        return _possible(Study.model_validate(content), str(entry.study))
    except ValidationError as error:
        raise InputError("\n".join(f"{entry.study}: {_explain(fault, Study)}" for fault in error.errors())) from None


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


def _explain(fault: Any, top: type[BaseModel] = Config) -> str:
    where = fault["loc"]
    parts, _ = _followed(where, top)
    place = ".".join(parts) or "top level"
    found = fault.get("input")
    if fault["type"] == "extra_forbidden":
        parents, model = _followed(where[:-1], top)
        keys, key = list(model.model_fields), _printed(str(where[-1]))
        return f"unknown key '{'.'.join([*parents, key])}'{nearest(key, keys)} (known here: {', '.join(sorted(keys))})"
    if fault["type"] == "missing":
        return f"key '{place}' is missing, expected {_description(where, top)}"
    if fault["type"] in ("union_tag_invalid", "union_tag_not_found"):
        key = "shape"  # of a region in a study
        if len(where) == 2 and top is Config:
            key = "model" if where[0] == "design" else "format"
        known: Iterable[str] = ENTRY_MODELS[where[0]] if key != "shape" else [tag for tag, model in _TAGS.items() if key in model.model_fields]
        given = found.get(key) if isinstance(found, dict) else found
        return f"'{place}.{key}' is {given!r}, expected one of {', '.join(known)}{nearest(str(given), known)}"
    if fault["type"] == "invalid_key":
        return f"key {found!r} under '{'.'.join(_followed(where[:-1], top)[0]) or 'top level'}' is no text, expected a name"
    if where[-1:] == ("[key]",) and fault["type"].startswith("string"):
        quotes = "" if isinstance(found, str) else f" (YAML takes it for {'nothing' if found is None else type(found).__name__}: put it in quotes)"
        return f"name {found!r} under '{'.'.join(parts[:-2])}', expected {NAMED}{quotes}"
    if fault["type"] == "value_error" and isinstance(found, dict):  # of a whole entry, whose text names its keys
        return f"'{place}': {fault['msg'].removeprefix('Value error, ')}"
    return f"'{place}' is {found!r}: {fault['msg'].removeprefix('Value error, ')}"


def _followed(where: Sequence[str | int], top: type[BaseModel]) -> tuple[list[str], type[BaseModel]]:
    """(a location below `top` as the user wrote it, without the names of models; the model that it belongs to)."""
    model = top
    told: list[str] = []
    chosen = False  # the next part is a name of the user's choice, which may be that of a key or of a model
    for part in map(str, where):
        field = None if chosen else model.model_fields.get(part)
        if field is None and not chosen and part in _TAGS:
            model = _TAGS[part]
            continue
        if field is None and not (chosen or part.isdecimal() or part == "[key]"):
            continue  # what pydantic calls one of several types
        told.append(_printed(part))
        chosen = field is not None and get_origin(field.annotation) is dict
        model = (_model_in(field.annotation) if field is not None else None) or model
    return told, model


def _printed(key: str) -> str:
    """A key on one line, whatever is in it."""
    return key if key.isprintable() else repr(key)[1:-1]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The first model inside an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_in(inner))), None)


def _description(where: Sequence[str | int], top: type[BaseModel]) -> str:
    field = _followed(where[:-1], top)[1].model_fields.get(str(where[-1]))
    return (field.description if field else None) or "a value"
