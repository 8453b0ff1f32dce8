"""Configurations for tests: keys of a repository may stand beside keys of the installation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kiro_worker.config.model import Configuration
from kiro_worker.config.repository_settings import RepositorySettings
from kiro_worker.config.resolve import resolve

if TYPE_CHECKING:
    from kiro_worker.config.settings import Check, Settings

_REPOSITORY_KEYS: Final = {field.alias for field in RepositorySettings.model_fields.values()} - {
    field.alias for field in Configuration.model_fields.values()
}
_REQUIRED: Final = {"organization": "acme", "repository": "shop", "projectNumber": 1, "targetStatusColumn": "Ready"}


def parameter(*documents: dict[str, Any]) -> dict[str, Any]:
    """Return the documents as one parameter. A later document's keys win; keys of a repository go to its defaults."""
    merged: dict[str, Any] = {}
    defaults: dict[str, Any] = {}
    for document in documents:
        merged |= {key: value for key, value in document.items() if key not in _REPOSITORY_KEYS}
        defaults |= document.get("repositoryDefaults", {})
        defaults |= {key: value for key, value in document.items() if key in _REPOSITORY_KEYS}
    return merged | {"repositoryDefaults": defaults}


def settings(**keys: Any) -> Settings:
    """Return the effective settings of a repository for which the parameter has ``keys``."""
    return resolve(Configuration.model_validate(parameter(_REQUIRED, keys)), "acme/shop")


def check(**keys: Any) -> Check:
    """Return the only check of a repository for which the parameter has ``keys``; coverage is off unless it is set."""
    [found] = settings(**{"coverage": {"threshold": None}, **keys}).checks
    return found
