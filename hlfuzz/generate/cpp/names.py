"""C++ names: namespaces as in the schema, classes in them, accessors in those."""

from __future__ import annotations

from dataclasses import dataclass, field

from hlfuzz.generate.c.model import Model
from hlfuzz.generate.c.names import MemberScope, Scope, identifier
from hlfuzz.generate.naming import stem


@dataclass(frozen=True, slots=True)
class Place:
    """A class: its namespace and its name there."""

    namespace: tuple[str, ...]
    name: str

    @property
    def full(self) -> str:
        """From the global namespace, so that no name in between can hide it."""
        return "::" + "::".join((*self.namespace, self.name))


@dataclass
class Names:
    """Places of definitions and services by full name, and of what belongs to them ("net.Request Edit")."""

    model: Model
    places: dict[str, Place] = field(default_factory=dict[str, Place])
    _scopes: dict[tuple[str, ...], Scope] = field(default_factory=dict[tuple[str, ...], Scope])
    _namespaces: dict[tuple[str, ...], tuple[str, ...]] = field(
        default_factory=dict[tuple[str, ...], tuple[str, ...]]
    )

    def __post_init__(self) -> None:
        services = [s.name for s in self.model.schema.services]
        defined = {d.name for d in self.model.schema.definitions} | set(services)
        wanted = [*self.model.enums, *self.model.records, *self.model.unions, *services]
        split = {name: _split(name, defined) for name in wanted}
        # Namespaces first: a class must not take the name of one.
        for parts, _ in split.values():
            self._namespace(parts)
        for name, (parts, local) in split.items():
            self._claim(name, parts, local)
        for name in (*self.model.records, *self.model.unions):
            parts, local = split[name]
            self._claim(f"{name} Edit", parts, f"{local}Edit")

    @property
    def tops(self) -> frozenset[str]:
        """The outermost namespaces, by which the code names everything."""
        return frozenset(p.namespace[0] for p in self.places.values())

    def _claim(self, key: str, parts: tuple[str, ...], local: str) -> None:
        namespace = self._namespace(parts)
        self.places[key] = Place(namespace, self._scope(namespace).claim(local))

    def _namespace(self, parts: tuple[str, ...]) -> tuple[str, ...]:
        """What is in no namespace is in one of the schema's name: C has the global one."""
        if parts not in self._namespaces:
            *before, last = parts or (stem(self.model.schema),)
            outer = self._namespace(tuple(before)) if before else ()
            self._namespaces[parts] = (*outer, self._scope(outer).claim(last))
            # Another definition may be in a namespace of the schema's name.
            self._namespaces.setdefault((*before, last), self._namespaces[parts])
        return self._namespaces[parts]

    def _scope(self, namespace: tuple[str, ...]) -> Scope:
        if namespace not in self._scopes:
            self._scopes[namespace] = MemberScope(self.model.scope)
            if not namespace:
                for taken in ("hl", "std"):
                    self._scopes[namespace].claim(taken)
        return self._scopes[namespace]


def _split(name: str, defined: set[str]) -> tuple[tuple[str, ...], str]:
    """Namespace and name. What is inside a message has its name in front: a class is no namespace."""
    parts = name.replace(":", ".").split(".")
    for end in range(1, len(parts)):
        if ".".join(parts[:end]) in defined:
            return tuple(parts[: end - 1]), "_".join(identifier(p) for p in parts[end - 1 :])
    return tuple(parts[:-1]), parts[-1]
