"""The earlier system's one draft model for everything: here it is a setting of each model that it drafts for."""

from collections.abc import Mapping
from typing import Any

from lmx.config.legacy import Key, setting

DRAFT = ("models", "speculative_model")
SETTINGS: Mapping[Key, str] = {DRAFT: "draft_model", ("models", "speculative_num_tokens"): "num_draft_tokens"}


def places_of(key: Key, old: Mapping[str, Any]) -> tuple[list[Key], str]:
    """Where such a key goes, and why; nowhere where nothing says which model is drafted for."""
    draft = setting(old, *DRAFT)
    if draft is None:
        return [], "says nothing without a speculative_model"
    drafted_for = [model for model in _models(old) if model != draft]
    if not drafted_for:
        return [], f"no model is named that it drafts for; set models.settings.<id>.{SETTINGS[key]}"
    return [("models", "settings", model, SETTINGS[key]) for model in drafted_for], "a setting of each model now"


def _models(old: Mapping[str, Any]) -> list[str]:
    """Those that the old configuration uses by name."""
    listed = setting(old, "models", "auto_load")
    named = [setting(old, "routing", "default_model"), setting(old, "models", "default_model")]
    return [*dict.fromkeys(name for name in [*named, *(listed if isinstance(listed, list) else [])] if name)]
