"""Environment variables behind settings: their names, their files, their documentation."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import AliasChoices, SecretStr, TypeAdapter
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

COLLECTIONS = (list, tuple, set, frozenset)


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable of a process. A secret's default is never shown."""

    name: str
    field: str
    type: str
    required: bool
    default: str | None
    description: str
    secret: bool
    choices: tuple[str, ...] = ()


class VariablesSource(PydanticBaseSettingsSource):
    """Reads ``X``, or the file that ``X_FILE`` names; an empty variable counts as absent."""

    def __init__(self, settings_cls: type[BaseSettings], environ: Mapping[str, str] | None = None) -> None:
        super().__init__(settings_cls)
        self._environ = os.environ if environ is None else environ

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return the raw value of a field (None if absent), its key, and whether it is still to be decoded."""
        for name in variable_names(self.settings_cls, field_name):
            value = self._read(name)
            if value is not None:
                return decode(field.annotation, value), field_name, False
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the values of all fields that are given."""
        values = {n: self.get_field_value(f, n)[0] for n, f in self.settings_cls.model_fields.items()}
        return {name: value for name, value in values.items() if value is not None}

    def _read(self, name: str) -> str | None:
        if value := self._environ.get(name):
            return value
        if path := self._environ.get(f"{name}_FILE"):
            return Path(path).read_text(encoding="utf-8").rstrip("\r\n") or None
        return None


def variable_names(cls: type[BaseSettings], field_name: str) -> list[str]:
    """Name the variables a field reads, in order of preference."""
    alias = cls.model_fields[field_name].validation_alias
    if isinstance(alias, AliasChoices):
        return [choice for choice in alias.choices if isinstance(choice, str)]
    if isinstance(alias, str):
        return [alias]
    return [f"{cls.model_config.get('env_prefix', '')}{field_name}".upper()]


def variable_of(cls: type[BaseSettings], field_name: str) -> Variable:
    """Describe the variable behind one field."""
    field = cls.model_fields[field_name]
    members = _members(field.annotation)
    secret = SecretStr in members
    return Variable(
        name=variable_names(cls, field_name)[0],
        field=field_name,
        type="secret" if secret else " or ".join(_type_name(member) for member in members),
        required=field.is_required(),
        default=None
        if secret or field.is_required()
        else _shown(field.get_default(call_default_factory=True)),
        description=field.description or "",
        secret=secret,
        choices=tuple(str(c) for m in members if get_origin(m) is Literal for c in get_args(m)),
    )


def decode(annotation: Any, value: str) -> Any:
    """Turn the text of a variable into what pydantic validates: from JSON, or from ``a,b,c`` or ``k=v,k=v``.

    Text that is not the JSON it looks like is passed on as it is; the field's own validation then refuses it.
    """
    origins = {_origin(member) for member in _members(annotation)}
    if not origins & {*COLLECTIONS, dict}:
        return value
    if value.lstrip().startswith(("[", "{")):
        try:
            return json.loads(value)
        except ValueError:
            return value
    parts = [part.strip() for part in value.split(",") if part.strip()]
    if dict in origins:
        return {name.strip(): text.strip() for name, _, text in (part.partition("=") for part in parts)}
    return parts


def _origin(annotation: Any) -> Any:
    return get_origin(annotation) or annotation


def _members(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union but for None, or the annotation itself."""
    if get_origin(annotation) is Union or type(annotation).__name__ == "UnionType":
        return tuple(member for member in get_args(annotation) if member is not type(None))
    return (annotation,)


def _type_name(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return "choice"
    if _origin(annotation) in COLLECTIONS:
        return "list"
    return str(getattr(annotation, "__name__", annotation))


def _shown(default: Any) -> str | None:
    if default is None:
        return None
    if isinstance(default, COLLECTIONS):
        return ",".join(str(item) for item in default)
    if isinstance(default, timedelta):
        # As it is read: Python's own form (3 days, 0:00:00) is not.
        return str(TypeAdapter(timedelta).dump_python(default, mode="json"))
    return str(default).lower() if isinstance(default, bool) else str(default)
