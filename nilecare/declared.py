"""What a service's code says by itself: its tables, its rules by name, its life cycles; in the order of its modules."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any

from fastapi.routing import APIRoute
from sqlalchemy import Table

from broker import BackboneError, LifeCycle, Replica, Service
from broker._access import CLOSES, gates_of
from broker._http import routes_of

Named = tuple[str, str]
"""A name, and what is said of it."""


def sentence(text: str | None) -> str:
    """The first paragraph of a docstring, in one line."""
    return " ".join(inspect.cleandoc(text or "").partition("\n\n")[0].split())


def package_of(service: Service) -> ModuleType:
    """The service's own package."""
    return importlib.import_module(f"services.{service.name}")


def modules(service: Service, part: str) -> list[ModuleType]:
    """The module `part` of a service and, if that is a package, the modules in it; none when it has no such part."""
    name = f"services.{service.name}.{part}"
    if importlib.util.find_spec(name) is None:
        return []
    module = importlib.import_module(name)
    inside = pkgutil.iter_modules(getattr(module, "__path__", ()), f"{module.__name__}.")
    return [module, *(importlib.import_module(found.name) for found in inside)]


def broken_rules(service: Service) -> list[type[BackboneError]]:
    """The rules that can be broken, and what else its errors name."""
    return [
        value
        for module in modules(service, "errors")
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, BackboneError) and value.__module__ == module.__name__
    ]


def life_cycles(service: Service) -> dict[str, LifeCycle[Any]]:
    """The life cycles among its rules, by the names of their constants."""
    return {
        name: value
        for module in modules(service, "rules")
        for name, value in vars(module).items()
        if isinstance(value, LifeCycle) and name in _assigned(module)
    }


def decisions(service: Service) -> list[Named]:
    """The public functions and constants of its rules that say what they are."""
    return [named for module in modules(service, "rules") for named in _decisions_in(module)]


def _decisions_in(module: ModuleType) -> Iterator[Named]:
    constants = _assigned(module)
    for name, value in vars(module).items():
        if name.startswith("_"):
            continue
        if isinstance(value, FunctionType) and value.__module__ == module.__name__:
            yield f"{name}()", sentence(value.__doc__)
        elif name.isupper() and constants.get(name):
            yield name, sentence(constants[name])


def _assigned(module: ModuleType) -> dict[str, str]:
    """The names that a module itself gives a value, each with the text that stands under it."""
    found: dict[str, str] = {}
    body = ast.parse(inspect.getsource(module)).body
    for statement, following in zip(body, [*body[1:], None], strict=True):
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        said = following.value if isinstance(following, ast.Expr) else None
        text = said.value if isinstance(said, ast.Constant) and isinstance(said.value, str) else ""
        found.update({target.id: text for target in targets if isinstance(target, ast.Name)})
    return found


def tables(service: Service) -> list[tuple[Table, str]]:
    """The tables that it owns, by name, each with what it holds; replicas are others'."""
    said = {owner.__table__: sentence(owner.__doc__) for owner in _mapped(service)}
    replicated = {replica.__table__ for replica in service.replicated}
    owned = [table for table in service.tables.tables.values() if table not in replicated]
    return [(table, said.get(table, "")) for table in sorted(owned, key=lambda table: table.name)]


def _mapped(service: Service) -> Iterator[Any]:
    """The classes whose own table is one of the service's."""
    package = package_of(service).__name__
    for name, module in sorted(sys.modules.items()):
        if name.startswith(f"{package}."):
            for value in vars(module).values():
                own = isinstance(value, type) and value.__module__ == name and "__table__" in vars(value)
                if own and not issubclass(value, Replica) and vars(value)["__table__"].metadata is service.tables:
                    yield value


def who_may(route: APIRoute) -> str:
    """Who may ask a route: the roles, what proves a request genuine, or anybody."""
    gates = list(gates_of(route.dependant))
    if gates:
        return ", ".join(sorted({role for gate in gates for role in gate.roles})) or "any role"
    proofs = [one.call.__name__ for one in route.dependant.dependencies if one.call is not None and hasattr(one.call, CLOSES)]
    return f"whoever passes `{proofs[0]}`" if proofs else "anybody"


def asked(service: Service) -> list[tuple[str, APIRoute]]:
    """Its routes, by path, each with its method."""
    found = [(method, route) for route in routes_of(service) for method in route.methods or ()]
    return sorted(found, key=lambda one: (one[1].path, one[0]))
