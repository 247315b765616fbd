"""The layout shows the architecture: imports point one way, files stay small, start-up stays light."""

from __future__ import annotations

import ast
import functools
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from fraudit.report.record import RunRecord
from fraudit.types import AnalysisResult, Metric

ROOT = Path(__file__).resolve().parents[2]

# Every room imports the rooms in its row (and itself), no more and no fewer; the order of the rows is from the ground
# up. `__init__` is the version. Imports inside functions count, those for type checking alone do not.
ROWS = {
    "__init__": "",
    "formatting": "",
    "redact": "",
    "errors": "redact",
    "progress": "redact",
    "threads": "errors",
    "types": "errors",
    "files": "redact errors types",
    "perturb": "errors types",
    "plugins": "errors types",
    "stats": "errors threads types files",
    "protections": "errors types plugins stats",
    "policy": "formatting errors files stats",
    "report": "formatting redact errors types files plugins",
    "plots": "formatting errors types report",
    "weights": "errors types files",
    "faces": "errors types files weights",
    "embedding": "errors threads types files plugins weights faces",
    "scores": "formatting errors types files faces",
    "compare": "formatting errors types files plugins stats policy report scores",
    "diffusion": "errors types files stats weights faces embedding",
    "embedders": "redact errors threads types files weights embedding",
    "inverters": "formatting errors progress types files plugins stats weights faces embedding diffusion embedders",
    "scorers": "redact errors types files plugins embedding embedders",
    "audit": "__init__ formatting errors progress threads types files perturb plugins "
    "stats report faces embedding scores inverters scorers",
    "cluster": "errors progress threads types files perturb stats faces embedding inverters audit",
    "deployment": "__init__ formatting errors progress types files stats policy report faces embedding scores compare "
    "audit",
    "analyses": "formatting errors progress threads types files plugins perturb protections stats policy faces "
    "embedding scores compare inverters audit deployment",
    "api": "errors progress threads types files policy report embedding inverters audit",
    "cli": "__init__ formatting errors progress threads files perturb plugins protections policy report weights "
    "faces embedding scores compare diffusion inverters audit cluster analyses api deployment",
}
MOST_MODULES = 8  # of fraudit/ itself
NAMED = re.compile(r"(?:from|import|python:) *\b((?:tests|benchmarks)\b[.\w]*)")


def modules() -> dict[str, Path]:
    """Dotted name -> file, of everything under fraudit/ (its links followed)."""
    found = {}
    for top in (ROOT / "fraudit").iterdir():
        paths = sorted(top.resolve().rglob("*.py")) if top.is_dir() else [top] if top.suffix == ".py" else []
        for path in paths:
            inner = path.relative_to(top.resolve()).with_suffix("").parts if top.is_dir() else ()
            found[".".join(("fraudit", top.stem, *inner)).removesuffix(".__init__")] = path
    return found


def imports(node: ast.AST) -> Iterator[str]:
    """Names that a module imports at run time, inside functions too: `a.b` of `from a import b`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            for other in child.orelse:
                yield from imports(ast.Module([other], []))
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield from ("." * child.level + f"{child.module or ''}.{alias.name}" for alias in child.names)
        yield from imports(child)


@functools.cache
def graph() -> dict[str, set[str]]:
    """Module -> modules of fraudit that it imports. A package's own __init__ counts where it is named."""
    known = modules()
    arrows: dict[str, set[str]] = {}
    for module, path in known.items():
        arrows[module] = set()
        for name in imports(ast.parse(path.read_text())):
            assert not name.startswith("."), f"{module}: a relative import hides which room it enters"
            while name and name not in known:
                name = name.rpartition(".")[0]
            arrows[module] |= {name} - {"", module}
    return arrows


def room(module: str) -> str:
    """`stats` of `fraudit.stats.pairs`."""
    return [*module.split("."), "__init__"][1]


def circle(arrows: Mapping[str, set[str]]) -> list[str]:
    """One way that leads back to where it began, or []."""
    done: set[str] = set()

    def look(node: str, way: list[str]) -> list[str]:
        if node in way:
            return [*way[way.index(node) :], node]
        if node not in done:
            for further in sorted(arrows.get(node, ())):
                if found := look(further, [*way, node]):
                    return found
            done.add(node)
        return []

    return next((found for node in sorted(arrows) if (found := look(node, []))), [])


def test_every_folder_and_module_has_its_row() -> None:
    assert set(ROWS) == {room(module) for module in modules()}


@pytest.mark.parametrize("name", sorted(ROWS))
def test_a_room_imports_what_its_row_says_and_its_row_says_no_more(name: str) -> None:
    used: dict[str, list[str]] = {}
    for module, others in graph().items():
        for other in others:
            if room(module) == name != room(other):
                used.setdefault(room(other), []).append(module)
    row = set(ROWS[name].split())
    assert {other: by for other, by in used.items() if other not in row} == {}
    assert row - set(used) == set(), "these are allowed and not used: take them out of the row"


def test_no_arrow_between_rooms_runs_up() -> None:
    order = list(ROWS)
    arrows = {(name, other) for name, row in ROWS.items() for other in row.split()}
    assert {(name, other) for name, other in arrows if order.index(other) > order.index(name)} == set()


def test_no_module_imports_itself_through_others() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}}) == []
    assert circle(graph()) == []


def test_no_analysis_imports_another() -> None:
    def analysis(module: str) -> str:
        return [*module.split("."), "", ""][2] if module.startswith("fraudit.analyses.") else ""

    assert [
        (module, other)
        for module, others in graph().items()
        for other in others
        if analysis(module) and analysis(other) not in ("", "shared", analysis(module))
    ] == []


def test_fraudit_itself_holds_few_modules() -> None:
    assert len(list((ROOT / "fraudit").glob("*.py"))) <= MOST_MODULES


def test_tests_import_fixtures_and_worlds_never_tests() -> None:
    """The fixtures are the ground; benchmarks and their worlds stand on them, tests on both."""
    wrong = []
    for folder in ("tests", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            place = path.relative_to(ROOT).as_posix()
            # In strings too: scripts that a test writes, and embedders named `python:module:function`.
            for name in NAMED.findall(path.read_text()):
                own = name == ".".join(path.relative_to(ROOT).with_suffix("").parts)
                fixtures = name.startswith("tests.fixtures")
                worlds = name.startswith("benchmarks") and not place.startswith("tests/fixtures/")
                if not (own or fixtures or worlds):
                    wrong.append((place, name))
    assert not wrong


def test_embedder_plugins_never_import_torch_at_the_top() -> None:
    code = (
        "import sys, importlib\n"
        "from fraudit.plugins import EMBEDDERS\n"
        "list(EMBEDDERS.items())\n"
        "import fraudit.api\n"
        "heavy = set('torch onnxruntime cv2 pandas sklearn scipy'.split()) & set(sys.modules)\n"
        "print(sorted(heavy))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_help_imports_neither_numpy_nor_torch() -> None:
    code = (
        "import sys\n"
        "from fraudit.cli.main import run\n"
        "run(['--help'])\n"
        "print(sorted({'torch', 'numpy', 'pandas', 'cv2'} & set(sys.modules)), file=sys.stderr)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "analyze" in answer.stdout
    assert answer.stderr.strip() == "[]"


@pytest.mark.parametrize(
    "arguments", [["embedders"], ["datasets"], ["show", "RUN"], ["show", "RUN", "--all"]]
)
def test_commands_that_list_or_show_import_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    result = AnalysisResult("verification", "Verification", metrics=(Metric("verification.eer", 0.1, n=9),))
    inputs = {"embedder": {"name": "box"}, "dataset": {"name": "set"}}
    RunRecord(plan={}, environment={}, inputs=inputs, results=(result,)).save(tmp_path)
    words = [str(tmp_path) if word == "RUN" else word for word in arguments]
    code = (
        "import sys\n"
        "from fraudit.cli.main import run\n"
        f"assert run({words!r}) == 0\n"
        "heavy = {'numpy', 'torch', 'pandas', 'cv2', 'PIL', 'scipy', 'sqlite3', 'jinja2', 'fraudit.audit.engine'}\n"
        "plugins = {name for name in sys.modules if name.startswith('fraudit.embedders.')}\n"
        "print(sorted(heavy & set(sys.modules) | plugins), file=sys.stderr)"
    )
    env = {name: value for name, value in os.environ.items() if name != "FRAUDIT_DATA"}
    env["XDG_DATA_HOME"] = str(tmp_path)
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert answer.stderr.strip() == "[]"


def test_what_is_listed_of_an_embedder_is_what_its_plugin_says() -> None:
    from fraudit.embedding.bundled import BUNDLED, facts_of
    from fraudit.plugins import EMBEDDERS

    ours = {name for name in EMBEDDERS.names() if EMBEDDERS.module(name).startswith("fraudit.embedders.")}
    assert {name: facts_of(EMBEDDERS.get(name)) for name in ours} == BUNDLED


def test_no_file_is_a_room_too_large_to_know() -> None:
    code = [p for top in ("fraudit", "embedders", "reports") for p in (ROOT / top).rglob("*.py")]
    large = {str(p.relative_to(ROOT)): n for p in code if (n := len(p.read_text().splitlines())) > 500}
    assert not large


def test_a_broad_except_says_why() -> None:
    """It stands where foreign code runs, and whose code that is stands beside it; one that only tidies up raises."""
    bare = []
    for path in sorted({p.resolve() for p in modules().values()}):
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, 1):
            broad = re.match(r"\s*except\b.*\b(Base)?Exception\b.*:\s*$", line)
            tidies = any(after.strip() == "raise" for after in lines[number : number + 3])
            if broad and not tidies:
                bare.append(f"{path.relative_to(ROOT)}:{number}")
    assert bare == []
