"""The layout shows the architecture: imports point one way, files stay small, start-up stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# A room may import the rooms in its row (and itself). Imports for type checking alone do not count.
BASE = {"errors", "types", "__init__", "files", "redact"}
TELLING = {"formatting", "progress"}
ALLOWED = {
    "redact": set(),
    "errors": {"redact"},
    "types": {"errors"},
    "files": {"errors", "redact", "types"},
    "formatting": BASE,
    "progress": BASE,
    "threads": BASE,
    "plugins": {"errors", "types"},
    "stats": BASE,
    "perturb": BASE,
    "weights": BASE,
    "faces": BASE | {"weights"},
    "embedders": BASE | {"embedding", "weights", "threads"},
    "embedding": BASE | {"faces", "plugins", "weights", "embedders"},
    "scorers": BASE | {"embedding", "embedders", "plugins", *TELLING},
    "diffusion": BASE | {"faces", "embedding", "weights", *TELLING},
    "inverters": BASE | {"faces", "embedding", "plugins", "diffusion", *TELLING},
    "scores": BASE | {"stats", "faces", *TELLING},
    "report": BASE | {"plugins", "stats", *TELLING},
    "compare": BASE | {"report", "stats", "scores", "plugins", "policy", *TELLING},
    "audit": BASE
    | {"stats", "faces", "perturb", "embedding", "scorers", "inverters", "plugins", "scores", "report"}
    | TELLING,
    "policy": BASE | {"stats"},
    "deployment": BASE
    | {"policy", "stats", "faces", "embedding", "audit", "analyses", "compare", "report"}
    | TELLING,
    "analyses": BASE | {"stats", "perturb", "faces", "inverters", "audit", "scores", "compare", *TELLING},
}


def imported(tree: ast.Module) -> set[str]:
    """Rooms of fraudit a module imports at run time, inside functions too."""
    rooms: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.body = []
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "fraudit":
                names = [f"fraudit.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "fraudit" and len(parts) > 1:
                rooms.add(parts[1])
    return rooms


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_imports_point_one_way(room: str) -> None:
    folder = ROOT / "fraudit" / room
    paths = sorted(folder.resolve().rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]
    wrong = {
        str(path.relative_to(ROOT)): extra
        for path in paths
        if path.exists() and (extra := imported(ast.parse(path.read_text())) - ALLOWED[room] - {room})
    }
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


def test_no_file_is_a_room_too_large_to_know() -> None:
    code = [p for top in ("fraudit", "embedders", "reports") for p in (ROOT / top).rglob("*.py")]
    large = {str(p.relative_to(ROOT)): n for p in code if (n := len(p.read_text().splitlines())) > 500}
    assert not large
