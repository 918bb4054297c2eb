"""Presets, which are named ways to ask a model, and stacks, which say what model plays which role."""

from lmx.presets.applying import applied
from lmx.presets.library import PresetLibrary
from lmx.presets.stacks import Stacks

__all__ = ["PresetLibrary", "Stacks", "applied"]
