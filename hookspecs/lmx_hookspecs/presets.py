"""Presets and stacks: named ways to ask models, and to place them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen


@frozen(kw_only=True)
class Preset:
    """A file of the presets folder; `preset:<name>` stands for it where a model's id does."""

    name: str
    description: str = ""
    model: str
    parameters: Mapping[str, Any] = field(factory=dict)
    """Request fields that hold where a request leaves them open."""
    system_prompt: str | None = None
    """Put first where a request has no system message."""
    routing_alias: str | None = None
    auto_load: bool = False
    performance: Mapping[str, Any] = field(factory=dict)
    """Settings with which its model is loaded."""
    chat_template: str | None = None
    """Takes the place of the model's own."""
    file: Path | None = None


@frozen(kw_only=True)
class Stack:
    """A stack preset: roles, which are aliases, and the models that play them."""

    name: str
    description: str = ""
    roles: Mapping[str, str]
    """Alias to model id."""
