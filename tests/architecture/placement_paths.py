"""Every way to a broker's door, read from the sources: who calls what places an order, and whether anything repeats it.

It begins where a request leaves: ``WIRE``, and every call of ``place``, or of ``replace`` and ``cancel`` of something that
trades. From there the callers are followed upwards, by names, to the doors: what nobody on the way calls. A thunk that
places is followed downwards into whoever it is handed to.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property

PLACES = frozenset({"place", "place_options"})
COMMON = frozenset({"replace", "cancel"})
TRADERS = frozenset({"placing", "adapter", "_trading", "trading", "trader"})
"""What ``replace`` must be called on to be a placement, and not one of a text or a value."""
WIRE = {
    "gateway.clients.placing:HttpPlacing._send": "post",
    "snaptrade_connector.trading_client:TradingClient._once": "exchange",
}
"""The functions that send, and the call they do it by."""
LAST_STEPS = {"snaptrade_connector.client:SnapTradeClient.exchange": "handle_async_request"}
"""What only looks on as well go through; therefore it is checked, and not followed upwards."""
REPEATS = re.compile(r"retr|persist|repeat|again|backoff|attempt|tenacity|stamina|redeliver", re.IGNORECASE)
BANNED = re.compile(
    r"(tenacity|stamina|backoff|retrying|messaging\.(publish|bus_|relay)|persistence\.(outbox|relay))\w*"
)
NO_SOURCES = re.compile(r"(^provider_sandbox|^contracts|\.conformance|\.testing)")
LOOPS = (ast.For, ast.AsyncFor, ast.While, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """One function, wherever it is defined."""

    module: str
    name: str
    node: ast.FunctionDef | ast.AsyncFunctionDef

    @property
    def simple(self) -> str:
        return self.name.rpartition(".")[2]

    @property
    def is_method(self) -> bool:
        return "." in self.name and "<locals>" not in self.name.rpartition(".")[0].rpartition(".")[2]

    def __str__(self) -> str:
        return f"{self.module}:{self.name}"


@dataclass(frozen=True, slots=True)
class Use:
    """A place in a function where another is called or handed on; ``above`` are its parents, the nearest first."""

    node: ast.expr
    above: tuple[ast.AST, ...]


@dataclass
class Ways:
    """All ways to a placement through modules given as source texts by their names."""

    sources: Mapping[str, str]
    problems: list[str] = field(default_factory=list)

    @cached_property
    def functions(self) -> list[Function]:
        found: list[Function] = []
        for module, text in self.sources.items():
            if not NO_SOURCES.search(module):
                found += _read(module, text)[0]
        return found

    @cached_property
    def names(self) -> dict[str, dict[str, str]]:
        """What each module calls what it imports: alias → module, or module.name."""
        return {module: _read(module, text)[1] for module, text in self.sources.items()}

    @cached_property
    def path(self) -> dict[Function, list[Use]]:
        """Every function from which a broker can be reached, with the places in it where the way goes on."""
        found = {
            one: uses
            for one in self.functions
            if (uses := [use for use in _uses(one) if _is_placement(use) or _sends(one, use, WIRE)])
        }
        while True:
            onwards = list(found)
            by_name: dict[str, list[Function]] = {}
            for one in onwards:
                by_name.setdefault(one.simple, []).append(one)
            grown = False
            for one in self.functions:
                uses = [
                    use
                    for name, named in _by_name(one).items()
                    for use in named
                    if any(self._means(one, use, way) for way in by_name.get(name, []))
                ]
                known = {id(use.node) for use in found.get(one, [])}
                if fresh := [use for use in uses if id(use.node) not in known]:
                    found.setdefault(one, []).extend(fresh)
                    grown = True
            if not grown:
                return found

    @property
    def doors(self) -> set[str]:
        """The modules of functions on the way that nobody on the way calls."""
        called = {
            way
            for one, uses in self.path.items()
            for use in uses
            for way in self.path
            if way is not one and _name(use.node) == way.simple and self._means(one, use, way)
        }
        return {one.module for one in self.path if one not in called}

    def check(self) -> list[str]:
        """Everything on the way that could place an order again; empty where nothing could."""
        self.problems = []
        last = {one: [use for use in _uses(one) if _sends(one, use, LAST_STEPS)] for one in self.functions}
        for one, uses in (self.path | {one: uses for one, uses in last.items() if uses}).items():
            self._decorated(one)
            seen: set[str] = set()
            for use in uses:
                self._alone(one, use)
                called = isinstance(use.above[0] if use.above else None, ast.Call) and _is_callee(use)
                if called and ast.unparse(use.node) in seen:
                    self._complain(one, use.node, "a second call beside the first")
                seen.add(ast.unparse(use.node) if called else "")
        for module in sorted({one.module for one in self.path}):
            for name in self.names[module].values():
                if BANNED.match(name):
                    self.problems.append(f"{module} is on the way to a broker and imports {name}")
        return sorted(set(self.problems))

    def _alone(self, one: Function, use: Use, depth: int = 0) -> None:
        """Check that one use happens once: no loop, no failure before it, nobody who repeats what he is given."""
        for parent in use.above:
            if isinstance(parent, LOOPS):
                self._complain(one, use.node, "in a loop")
            if isinstance(parent, ast.ExceptHandler):
                self._complain(one, use.node, "after a failure")
            if isinstance(parent, ast.Call) and REPEATS.search(ast.unparse(parent.func)):
                self._complain(one, use.node, f"handed to {ast.unparse(parent.func)}")
        for call, thunk in _carried(use):
            self._carrier(one, call, thunk, depth)

    def _carrier(self, giver: Function, call: ast.Call, thunk: ast.expr, depth: int) -> None:
        """Follow a thunk into whoever gets it."""
        if depth > 5:
            self._complain(giver, call, "handed on too far to follow")
            return
        name = _name(call.func)
        given = Use(call.func, (call,))
        takers = [one for one in self.functions if one.simple == name and self._means(giver, given, one)]
        if not takers:
            self._complain(giver, call, f"handed to {ast.unparse(call.func)}, which cannot be followed")
        for taker in takers:
            wanted = _parameter(taker, call, thunk)
            if wanted is None:
                self._complain(giver, call, f"handed to {taker} in a way that cannot be followed")
                continue
            uses = [use for use in _uses(taker) if isinstance(use.node, ast.Name) and use.node.id == wanted]
            if sum(_is_callee(use) for use in uses) > 1:
                self._complain(taker, taker.node, f"calls {wanted} more than once")
            for use in uses:
                self._alone(taker, use, depth + 1)

    def _decorated(self, one: Function) -> None:
        for decorator in one.node.decorator_list:
            if REPEATS.search(ast.unparse(decorator)):
                self._complain(one, decorator, f"decorated with {ast.unparse(decorator)}")

    def _complain(self, one: Function, node: ast.AST, what: str) -> None:
        self.problems.append(f"{one} line {getattr(node, 'lineno', 0)}: {what}: {ast.unparse(node)[:80]}")

    def _means(self, user: Function, use: Use, way: Function) -> bool:
        """Whether a name or an attribute in a function can mean another function."""
        known, node = self.names[user.module], use.node
        if isinstance(node, ast.Name):
            return known.get(node.id) == f"{way.module}.{way.simple}" or (
                user.module == way.module and not way.is_method and node.id not in known
            )
        if not isinstance(node, ast.Attribute):
            return False
        if isinstance(node.value, ast.Name) and node.value.id in known:
            return known[node.value.id] == way.module and not way.is_method
        if way.simple in PLACES | COMMON and not _is_placement(use):
            return False
        return way.is_method and (way.module == user.module or not way.simple.startswith("_"))


def _functions(module: str, tree: ast.AST, prefix: str) -> Iterator[Function]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, FUNCTIONS):
            yield Function(module, prefix + node.name, node)
            yield from _functions(module, node, f"{prefix}{node.name}.<locals>.")
        elif isinstance(node, ast.ClassDef):
            yield from _functions(module, node, f"{prefix}{node.name}.")
        else:
            yield from _functions(module, node, prefix)


def _imports(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.asname or alias.name.partition(".")[0], alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names)


@cache
def _read(module: str, text: str) -> tuple[list[Function], dict[str, str]]:
    """The functions of a module, and what it calls what it imports."""
    tree = ast.parse(text)
    return list(_functions(module, tree, "")), dict(_imports(tree))


@cache
def _by_name(one: Function) -> dict[str, list[Use]]:
    found: dict[str, list[Use]] = {}
    for use in _uses(one):
        found.setdefault(_name(use.node), []).append(use)
    return found


@cache
def _uses(one: Function) -> list[Use]:
    """Every name and attribute that is read in a function's own body, lambdas included."""
    found: list[Use] = []

    def walk(node: ast.AST, above: tuple[ast.AST, ...]) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (*FUNCTIONS, ast.ClassDef)):
                continue
            if isinstance(child, ast.Name | ast.Attribute) and isinstance(child.ctx, ast.Load):
                found.append(Use(child, (node, *above)))
            walk(child, (node, *above))

    for statement in one.node.body:
        if not isinstance(statement, (*FUNCTIONS, ast.ClassDef)):
            walk(ast.Module([statement], []), ())
    return found


def _is_placement(use: Use) -> bool:
    node = use.node
    if not isinstance(node, ast.Attribute):
        return False
    trades = _name(node.value) in TRADERS
    return (node.attr in PLACES and (trades or _is_callee(use))) or (node.attr in COMMON and trades)


def _sends(one: Function, use: Use, how: Mapping[str, str]) -> bool:
    return how.get(str(one)) == _name(use.node) and isinstance(use.node, ast.Attribute)


def _is_callee(use: Use) -> bool:
    parent = use.above[0] if use.above else None
    return isinstance(parent, ast.Call) and parent.func is use.node


def _carried(use: Use) -> Iterator[tuple[ast.Call, ast.expr]]:
    """Whoever gets the use as something to call: by name, or wrapped in a lambda."""
    inner: ast.AST = use.node
    thunk: ast.expr | None = None if _is_callee(use) else use.node
    for parent in use.above:
        if isinstance(parent, ast.Lambda):
            thunk = parent
        elif isinstance(parent, ast.Call):
            given = [*parent.args, *(word.value for word in parent.keywords)]
            if thunk is not None and any(one is thunk for one in given):
                yield parent, thunk
                return
        if thunk is None and inner is not use.node and isinstance(parent, ast.stmt):
            return
        inner = parent


def _parameter(taker: Function, call: ast.Call, thunk: ast.expr) -> str | None:
    """What the taker calls the thunk."""
    names = [one.arg for one in (*taker.node.args.posonlyargs, *taker.node.args.args)]
    if taker.is_method:
        names = names[1:]
    for word in call.keywords:
        if word.value is thunk:
            return word.arg
    place = next((number for number, one in enumerate(call.args) if one is thunk), len(names))
    return names[place] if place < len(names) else None


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
