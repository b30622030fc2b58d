"""The configuration's models as a commented YAML with every default (`config/defaults.yaml`) and as a JSON schema (`config/schema.json`).

Printed by `python -m fieldfit.schema`; a test holds them in step.
"""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from fieldfit.config.load import ENTRY_MODELS, Config


def default_yaml() -> str:
    """Every key with its default and description, as commented YAML."""
    lines = ["# Every key, its default and its meaning. Printed from the models in fieldfit.config; do not edit: uv run python -m fieldfit.schema"]
    for section, models in ENTRY_MODELS.items():
        lines.append(f"{section}:")
        first = {model: name for name, model in reversed(models.items())}  # a model of several formats is printed once
        for model, name in reversed(first.items()):
            lines.append(f"  # {(model.__doc__ or '').strip()}")
            lines.append(f"  my_{name}:")
            lines += _yaml_of(model, "    ", {"model" if section in ("design", "gallery") else "format": name})
    lines.append("# Of the whole configuration")
    lines += _yaml_of(Config, "", {}, set(ENTRY_MODELS))
    return "\n".join(lines) + "\n"


def _yaml_of(model: type[BaseModel], indent: str, given: dict[str, Any], without: Collection[str] = ()) -> list[str]:
    lines = []
    for key, field in model.model_fields.items():
        if key in without:
            continue
        if key in given:
            text = given[key]
        elif field.is_required():
            text = "REQUIRED"
        else:
            default = field.get_default(call_default_factory=True)
            if isinstance(default, BaseModel):
                lines += [f"{indent}{key}:  # {field.description}", *_yaml_of(type(default), indent + "  ", {})]
                continue
            text = yaml.safe_dump(list(default) if isinstance(default, tuple) else default, default_flow_style=True).split("\n")[0]
        lines.append(f"{indent}{key}: {text}  # {field.description}")
    return lines


def schema_json() -> str:
    """JSON schema of the configuration."""
    return json.dumps(Config.model_json_schema(), indent=1) + "\n"


if __name__ == "__main__":
    Path("config/defaults.yaml").write_text(default_yaml())
    Path("config/schema.json").write_text(schema_json())
