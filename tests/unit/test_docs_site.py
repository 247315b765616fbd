"""The documentation's site: nothing of the tool is missing in it, its commands are real, and it builds strictly."""

from __future__ import annotations

import ast
import dataclasses
import re
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import typer

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS))

from fraudit_docs import analyses, commands, links, metrics, recording, shell, site, trying  # noqa: E402

HOW_TO = sorted((DOCS / "how-to").glob("*.md"))
PARSED = [DOCS / "index.md", *HOW_TO]


@pytest.fixture(scope="module")
def generated() -> dict[str, str | bytes]:
    return site.generated()


def test_every_command_has_its_page_with_every_option(generated):
    from fraudit.cli.main import app

    def walk(found, words):
        for name, one in getattr(found, "commands", {}).items():
            if not one.hidden:
                yield from walk(one, (*words, name))
        if not hasattr(found, "commands"):
            yield words, found

    seen = list(walk(typer.main.get_command(app), ()))
    assert len(seen) > 30
    for words, command in seen:
        text = generated[f"reference/commands/{'-'.join(words)}.md"]
        assert f"({'-'.join(words)}.md)" in generated["reference/commands/index.md"]
        for parameter in command.params:
            assert all(f"`{name}" in text or f", {name}" in text for name in parameter.opts), (
                words,
                parameter.name,
            )


def test_every_command_has_an_example_that_it_takes(generated):
    for command in commands.every():
        lines = shell.fraudit_lines(str(generated[command.path]))
        assert lines, f"{command.name}: no example"
        assert shell.parse(lines[0]).words == command.words


def test_every_analysis_has_its_page_and_every_parameter_a_meaning(generated):
    names = {
        point.name for point in entry_points(group="fraudit.analyses") if point.value.startswith("fraudit.")
    }
    assert names <= {one.name for one in analyses.every()}
    for one in analyses.every():
        text = generated[f"reference/analyses/{one.name}.md"]
        for params, prefix in ((one.params, one.name), (one.asks.params if one.asks else None, "scorer")):
            if params is None:
                continue
            for name, _, meaning in analyses.parameters(params, prefix):
                assert f"`{name}`" in text
                assert meaning, f"{name}: its docstring does not say what it is"
            assert len(dataclasses.fields(params)) == len(analyses.parameters(params, prefix))
        assert shell.parse(shell.fraudit_lines(text)[0]).name == "analyze"


def test_every_analysis_and_every_metric_of_finished_runs_has_its_entry(generated):
    from fraudit.report.record import RunRecord

    named = {entry.analysis for entry in metrics.every()}
    assert {one.name for one in analyses.every()} <= named, "docs/metrics/ANALYSIS.toml is missing"
    seen = 0
    for folder in ("schema_v1", "schema_v2"):
        for result in RunRecord.load(ROOT / "tests/fixtures" / folder).results:
            for metric in result.metrics:
                entry = metrics.entry_of(metric.name)
                assert entry, f"{metric.name}: docs/metrics/{result.name}.toml does not say what it is"
                assert entry.analysis == result.name
                assert f"`{entry.name}`" in generated["reference/metrics.md"]
                seen += 1
    assert seen > 40


def test_the_tables_of_real_faces_ask_for_metrics_that_exist():
    from benchmarks.real_faces import QUESTIONS

    for question, name, _ in QUESTIONS:
        assert metrics.entry_of(name), (
            f"{question}: no metric is called {name}, so that its row would be left out"
        )


def test_what_real_faces_taught_becomes_plain_html():
    from benchmarks.real_faces import paragraphs

    assert paragraphs("**A <b>.** One.\n\n- `x`: 1\n- two") == [
        "<p><b>A &lt;b&gt;.</b> One.</p>",
        "<ul><li><code>x</code>: 1</li><li>two</li></ul>",
    ]


def _written_names(analysis: str) -> Iterator[tuple[str, str]]:
    """(file, pattern) of every metric whose name begins with its analysis' in the code; `\0` is what a run decides."""
    for path in sorted((ROOT / "fraudit/analyses" / analysis).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Metric" and node.args):
                continue
            first = node.args[0]
            parts = first.values if isinstance(first, ast.JoinedStr) else [first]
            text = "".join(
                str(p.value)
                if isinstance(p, ast.Constant)
                else analysis
                if isinstance(p, ast.FormattedValue) and getattr(p.value, "id", "") == "NAME"
                else "\0"
                for p in parts
            )
            if text.startswith(f"{analysis}."):
                yield path.name, text


def test_every_name_that_the_code_writes_has_an_entry():
    """Both sides have free parts, so that it is enough if either can be read as the other."""
    seen = 0
    for one in analyses.every():
        examples = [
            re.sub("<rate>", "fmr", e.name).replace("<", "").replace(">", "") for e in metrics.every()
        ]
        for file, text in _written_names(one.name):
            written = re.compile(".+".join(map(re.escape, text.split("\0"))))
            known = metrics.entry_of(text.replace("\0", "x")) or any(map(written.fullmatch, examples))
            assert known, f"{one.name}/{file}: docs/metrics/{one.name}.toml says nothing of {text!r}"
            seen += 1
    assert seen > 60


def test_an_entry_is_the_one_that_says_most_of_the_name():
    assert metrics.entry_of("bias.male.fmr").label == "FMR of a group"
    assert metrics.entry_of("bias.male.garbe_if_equal").name == "bias.<attribute>.<summary>_if_equal"
    assert (
        metrics.entry_of("bias.male.max_over_geomean_fmr").name == "bias.<attribute>.max_over_geomean_<rate>"
    )
    assert metrics.entry_of("nothing.at.all") is None
    names = [entry.name for entry in metrics.every()]
    assert len(names) == len(set(names))
    assert all(
        e.label and e.definition and e.source and e.better in ("higher", "lower", "none")
        for e in metrics.every()
    )


@pytest.mark.parametrize("path", PARSED, ids=lambda path: path.stem)
def test_command_lines_of_the_pages_are_taken_by_this_version(path):
    found = shell.fraudit_lines(path.read_text(encoding="utf-8"))
    assert found or path.stem == "index"
    for words in found:
        shell.parse(words)


@pytest.mark.parametrize(
    "line",
    [
        "fraudit analyse --dataset sample",
        "fraudit doctor --embeder dlib",
        "fraudit doctor --faces many",
        "fraudit render a",
    ],
)
def test_a_line_that_the_tool_does_not_take_is_noticed(line):
    (words,) = shell.fraudit_lines(f"```sh\n{line}  # said so\n```\n")
    with pytest.raises(Exception, match=r"."):
        shell.parse(words)


def test_joined_lines_and_redirections_are_read_as_the_shell_reads_them():
    text = "```sh\nfraudit baseline runs/a \\\n   > base.json\nls\nfraudit show runs/a | head\n```\n"
    text += "```python\nfraudit = 1\n```"
    assert shell.fraudit_lines(text) == [["baseline", "runs/a"], ["show", "runs/a"]]


def test_every_page_is_in_the_navigation_and_every_how_to_in_its_list(generated):
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    nav = set(re.findall(r"[\w./-]+\.md", text.partition("\nnav:")[2]))
    written = {p.relative_to(DOCS).as_posix() for p in DOCS.rglob("*.md")}
    growing = tuple(site.GROWING.values())
    for path in written | {p for p in generated if p.endswith(".md") and not p.startswith("source/")}:
        assert path in nav or path.startswith(growing), f"{path} is not in mkdocs.yml's nav"
    assert not {p for p in nav if p not in written and p not in generated}
    listed = (DOCS / "how-to/index.md").read_text(encoding="utf-8")
    for path in HOW_TO:
        assert path.stem == "index" or f"({path.name})" in listed


def test_no_link_of_the_repository_s_pages_is_dead(generated):
    sources = [*DOCS.rglob("*.md"), *(ROOT / path for path in links.brought().values()), ROOT / "README.md"]
    for source in sources:
        for target in links.links_of(source.read_text(encoding="utf-8")):
            if links.inside(target):
                path = ROOT / links.repository_path(source.relative_to(ROOT).as_posix(), target)
                made = path.is_relative_to(DOCS) and path.relative_to(DOCS).as_posix() in generated
                assert path.exists() or made, f"{source.name} links to {target}"


@pytest.mark.parametrize(
    ("source", "page", "text", "expected"),
    [
        ("docs/doctor.md", "doctor.md", "[a](../benchmarks/results/gate.md#x)", "[a](results/gate.md#x)"),
        ("docs/adr/0001-a.md", "adr/0001-a.md", "[a](../statistics.md)", "[a](../statistics.md)"),
        ("benchmarks/results/gate.md", "results/gate.md", "[a](../../docs/gate.md)", "[a](../gate.md)"),
        ("CONTRIBUTING.md", "contributing.md", "[a](docs/adr)", "[a](adr/index.md)"),
        ("docs/a.md", "a.md", "[a](https://example.org) [b](#c)", "[a](https://example.org) [b](#c)"),
        ("docs/a.md", "a.md", "```sh\n[a](../CONTRIBUTING.md)\n```", "```sh\n[a](../CONTRIBUTING.md)\n```"),
    ],
)
def test_links_fit_the_site(source, page, text, expected):
    assert links.rewritten(text, source, page) == expected


def test_a_recording_is_small_safe_and_whole_where_nothing_moves():
    made = recording.recording(f"$ fraudit show <run>\n{'x' * 200}\n\ndone", "a & b")
    assert "$ fraudit show &lt;run&gt;" in made
    assert f"{'x' * (recording.COLUMNS - 1)}…</text>" in made
    assert "a &amp; b" in made
    stored = (DOCS / "terminal.svg").read_text(encoding="utf-8")
    for text in (made, stored):
        assert len(text) < 300_000
        assert not re.search("<script|href|url\\(|opacity:0[;}](?!})", text.replace("from{opacity:0}", ""))


def test_steps_to_try_leave_out_what_needs_files_of_the_reader():
    text = '```sh\na\n```\n```sh title="With your own model"\nb\n```\n```python title="f.py"\nc\n```\n```text\nd\n```'
    assert list(trying.steps(text)) == [("sh", "", "a\n"), ("python", "f.py", "c\n")]
    for path in HOW_TO:
        if path.stem != "index":
            assert list(trying.steps(path.read_text(encoding="utf-8"))), f"{path.stem}: nothing to try"


@pytest.fixture(scope="module")
def built(tmp_path_factory, generated) -> Path:
    """The site as `make docs` builds it; in this process, which has made the pages and pictures already."""
    for name in ("mkdocs", "material", "mkdocstrings_handlers.python"):
        pytest.importorskip(
            name, reason="the documentation's tools are not installed (pip install -e .[docs])"
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_MKDOCS_2_WARNING", "1")
        patch.chdir(ROOT)
        from mkdocs.commands.build import build
        from mkdocs.config import load_config

        folder = tmp_path_factory.mktemp("site")
        settings = load_config(str(ROOT / "mkdocs.yml"), strict=True, site_dir=str(folder))
        settings.plugins.on_startup(command="build", dirty=False)
        build(settings)  # raises where anything warns
        settings.plugins.on_shutdown()
    return folder


@pytest.mark.slow
def test_the_site_builds_strictly_with_every_page(built, generated):
    for path in generated:
        assert (built / path).with_suffix(".html" if path.endswith(".md") else Path(path).suffix).is_file(), (
            path
        )
    assert "search" in {p.name for p in built.iterdir()}


@pytest.mark.slow
def test_no_page_asks_anything_outside(built):
    asks = re.compile(r"""<(?:script|img|iframe|link|source)\b[^>]*?(?:src|href)=["']?(?:https?:)?//[^>]*>""")
    for path in built.rglob("*.html"):
        assert not asks.findall(path.read_text(encoding="utf-8")), path
    for path in built.rglob("*.css"):
        text = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.S)
        assert not re.findall(r"url\([\"']?(?:https?:)?//", text), path


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (360, "dark")])
def test_pages_have_no_serious_fault_and_no_sideways_scroll(built, browser, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed").Axe()
    with browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme) as context:
        tab = context.new_page()
        for name in ("index.html", "how-to/threshold.html", "reference/metrics.html"):
            tab.goto((built / name).as_uri())
            assert tab.evaluate("document.documentElement.scrollWidth") <= width, name
            found = axe.run(tab).response["violations"]
            bad = [v for v in found if v["impact"] in ("serious", "critical")]
            assert [(v["id"], v["nodes"][0]["html"][:200]) for v in bad] == [], name
