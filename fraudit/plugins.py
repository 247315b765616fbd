"""Lazy plugin registries over entry points: nothing is imported before it is asked for.

A third party's package joins by declaring an entry point in one of the groups `fraudit.embedders`,
`fraudit.inverters`, `fraudit.analyses`, `fraudit.scorers`, `fraudit.protections`; no change here is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import fraudit.types
from fraudit.errors import PluginError, suggest

if TYPE_CHECKING:
    from fraudit.types import Analysis, EmbedderPlugin, InverterPlugin, Need, ProtectionPlugin, ScorerPlugin

T = TypeVar("T")
STALE = "it is older than the code: make setup, or pip install -e . again"


class Registry(Generic[T]):
    """Plugins of one kind by name.

    Args:
        group: entry-point group.
        kind: the word for one of them in messages, such as `embedder`.
        type_: class of `fraudit.types` that every plugin must be an instance of; checked when it is loaded.
    """

    def __init__(self, group: str, kind: str, type_: str) -> None:
        self.group = group
        self.kind = kind
        self._type = type_
        self._added: dict[str, T] = {}
        self._loaded: dict[str, T] = {}
        self._points: dict[str, EntryPoint] | None = None

    def _discovered(self) -> dict[str, EntryPoint]:
        if self._points is None:
            points: dict[str, EntryPoint] = {}
            for point in entry_points(group=self.group):
                seen = points.get(point.name)
                if seen is not None and seen.value != point.value:
                    raise PluginError(
                        f"two installed packages both offer the {self.kind} '{point.name}': "
                        f"{seen.value} and {point.value}",
                        "uninstall one of them",
                    )
                points[point.name] = point
            self._points = points
        return self._points

    def register(self, name: str, plugin: T) -> None:
        """Add a plugin from code. Raises PluginError where the name is taken or the type is wrong."""
        if name in self._added or name in self._discovered():
            raise PluginError(f"the {self.kind} '{name}' is registered already", "choose another name")
        self._added[name] = self._checked(name, plugin)

    def unregister(self, name: str) -> None:
        """Take back what `register` added."""
        self._added.pop(name, None)

    def names(self) -> list[str]:
        """Names in alphabetical order; nothing is imported."""
        return sorted({*self._discovered(), *self._added})

    def module(self, name: str) -> str:
        """Where the plugin `name` comes from, '' for one that code added; nothing is imported."""
        point = None if name in self._added else self._discovered().get(name)
        return point.module if point else ""

    def get(self, name: str) -> T:
        """The plugin `name`; imported on first use.

        Raises:
            PluginError: unknown name (with the nearest one suggested), or the plugin cannot be loaded.
        """
        if name in self._added:
            return self._added[name]
        if name not in self._loaded:
            point = self._discovered().get(name)
            if point is None:
                known = self.names()
                if self is ANALYSES and name in unknown_to_installation():
                    raise PluginError(f"the installation does not know the analysis '{name}'", STALE)
                raise PluginError(
                    f"unknown {self.kind} '{name}'", f"{suggest(name, known)}known: {', '.join(known)}"
                )
            self._loaded[name] = self._checked(name, self._load(point))
        return self._loaded[name]

    def find(self, name: str) -> T | None:
        """The plugin `name`, None where it is not installed or cannot be loaded: for what earlier runs hold."""
        try:
            return self.get(name)
        except PluginError:
            return None

    def usable(self) -> list[T]:
        """Every plugin that can be loaded, in alphabetical order."""
        return [plugin for name in self.names() if (plugin := self.find(name)) is not None]

    def items(self) -> Iterator[tuple[str, T]]:
        """(name, plugin) in alphabetical order; imports every plugin."""
        for name in self.names():
            yield name, self.get(name)

    def _load(self, point: EntryPoint) -> Any:
        try:
            return point.load()
        except (ImportError, AttributeError, SyntaxError) as error:
            raise PluginError(
                f"the {self.kind} '{point.name}' ({point.value}) cannot be loaded: {error}",
                "reinstall or uninstall the package that offers it",
            ) from error

    def _checked(self, name: str, plugin: Any) -> T:
        kind = getattr(fraudit.types, self._type)
        if not isinstance(plugin, kind):
            raise PluginError(
                f"the {self.kind} '{name}' is a {type(plugin).__name__}; expected {self._type}",
                "see CONTRIBUTING.md for a one-file example",
            )
        return plugin


EMBEDDERS: Registry[EmbedderPlugin] = Registry("fraudit.embedders", "embedder", "EmbedderPlugin")
INVERTERS: Registry[InverterPlugin] = Registry("fraudit.inverters", "inverter", "InverterPlugin")
ANALYSES: Registry[Analysis] = Registry("fraudit.analyses", "analysis", "Analysis")
SCORERS: Registry[ScorerPlugin] = Registry("fraudit.scorers", "scorer", "ScorerPlugin")
PROTECTIONS: Registry[ProtectionPlugin] = Registry(
    "fraudit.protections", "protection scheme", "ProtectionPlugin"
)


def unknown_to_installation() -> list[str]:
    """Our own analyses that the installation does not name, in alphabetical order: it is older than the code."""
    folder = Path(fraudit.types.__file__).parent.parent / "analyses"
    own = {path.parent.name for path in folder.glob("*/__init__.py")} - {"shared"}
    return sorted(own - set(ANALYSES.names()))


def analyses_needing(need: Need) -> list[str]:
    """Names of the installed analyses that need `need`, in report order."""
    found = [analysis for analysis in ANALYSES.usable() if need in analysis.needs]
    return [analysis.name for analysis in sorted(found, key=lambda a: (a.order, a.name))]
