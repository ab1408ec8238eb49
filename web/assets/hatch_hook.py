"""Hatchling's hook: `pip install` builds the browser's files, too.

An editable install never fails for them: engine, API and tests work without, and a page says "run make assets".
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


def _load() -> ModuleType:
    """The build script by its path: `web` cannot be imported in a build environment."""
    spec = importlib.util.spec_from_file_location("rapport_assets", Path(__file__).with_name("build.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class AssetsHook(BuildHookInterface):  # type: ignore[misc]  # hatchling ships no types
    """Builds web/static/dist before files are collected; pip asks twice, the stamp makes the second free."""

    def dependencies(self) -> list[str]:
        """Node inside a wheel, only where it is needed."""
        assets = _load()
        needed = not (self._skipped() or assets.is_fresh() or assets.system_node())
        return [assets.NODE_WHEEL] if needed else []

    def initialize(self, version: str, _build_data: dict[str, Any]) -> None:
        """Build; warn in an editable install, fail in a wheel."""
        assets = _load()
        if self._skipped():
            return
        try:
            assets.build()
        except assets.BuildError as error:
            if version != "editable":
                raise
            self.app.display_warning(f"The browser's files are not built ({error}); run: make assets")

    def _skipped(self) -> bool:
        return bool(os.environ.get("RAPPORT_SKIP_ASSETS"))
