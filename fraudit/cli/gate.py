"""`fraudit gate` and `fraudit baseline`: is the new model fit to replace the old one?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fraudit.compare.gate.rules import Rule


def gate(
    rules: Annotated[Path | None, typer.Option(help="TOML file with [rules] (docs/gate.md).")] = None,
    new: Annotated[Path | None, typer.Option(help="Run of the new model.")] = None,
    base: Annotated[Path | None, typer.Option(help="Run of the old model, or its baseline.json.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Also write JUnit XML, one test case a rule.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Also write Markdown, for a pull request.")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Say what the rules could detect, and stop.")] = False,
    pairs: Annotated[
        str, typer.Option(help="For --plan without --base: GENUINE,IMPOSTOR pairs of the set to come.")
    ] = "",
    people: Annotated[int, typer.Option(help="For --pairs: people in them; 0: all pairs independent.")] = 0,
    suggest: Annotated[
        Path | None, typer.Option(help="Print rules with the tightest limits this run can judge, and stop.")
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(help="Also hold the new run to this policy.json (docs/threshold.md).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Plain JSON.")] = False,
) -> int:
    """Judge a new model by rules: exit code 0 pass, 1 regression, 2 usage, 3 not enough evidence.

    Example: fraudit gate --base baseline.json --new runs/new --rules gate.toml --junit gate.xml
    """
    from fraudit.compare.gate.rules import GateFile, read_gate
    from fraudit.errors import UsageError

    if suggest is not None:
        from fraudit.compare.baseline import read_side
        from fraudit.compare.gate.suggest import suggest_rules

        typer.echo(suggest_rules(read_side(suggest, option="--suggest")), nl=False)
        return 0
    if rules is None and (policy is None or plan):
        raise UsageError("no rules were given", "--rules gate.toml (or --suggest RUN, to get some)")
    told = read_gate(rules) if rules else GateFile(())
    known, policy = told.rules, policy or told.policy
    if plan:
        if not known:
            raise UsageError(f"{rules} names a policy alone: --plan is about rules", "add rules to it")
        return _plan(list(known), pairs, people, base, as_json)
    from fraudit.compare.baseline import read_side
    from fraudit.compare.gate import output as gate_output
    from fraudit.compare.gate.judging import run_gate
    from fraudit.files.doors import entering
    from fraudit.files.store import write_bytes_atomic

    if new is None:
        raise UsageError("no new run was given", "--new RUN (or --plan, to ask what could be detected)")
    sides = read_side(base, option="--base") if base else None, read_side(new, option="--new")
    with entering(
        f"{new} and {base} hold what no rule can judge", "run the audit again, or freeze the baseline again"
    ):
        report = run_gate(known, *sides)
        if policy is not None:
            from fraudit.compare.gate.policy import with_policy
            from fraudit.policy import Policy

            report = with_policy(report, Policy.load(policy), sides[1])
    if junit:
        write_bytes_atomic(junit, gate_output.junit(report).encode())
    if markdown:
        write_bytes_atomic(markdown, gate_output.markdown(report).encode())
    typer.echo(json.dumps(gate_output.as_dict(report), indent=2) if as_json else gate_output.text(report))
    return report.exit_code


def _plan(rules: list[Rule], pairs: str, people: int, base: Path | None, as_json: bool) -> int:
    from fraudit.compare.baseline import read_side
    from fraudit.compare.gate.plan import parse_counts, plan_rules, plan_text, tested_rules

    side = read_side(base, option="--base") if base else None
    rows = plan_rules(rules, side, parse_counts(pairs, people) if pairs else None)
    typer.echo(json.dumps(rows, indent=2) if as_json else plan_text(rows, tested_rules(rules, side)))
    return 0


def baseline(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    out: Annotated[Path | None, typer.Option(help="File to write. [default: standard output]")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Keep only these analyses.")] = None,
) -> None:
    """Freeze what a gate needs of a run into one small JSON file (below 200 kB), without vectors or pictures.

    Example: fraudit baseline runs/old > baseline.json
    """
    from fraudit.cli.analyze import split
    from fraudit.compare.baseline import freeze
    from fraudit.compare.sides import run_side
    from fraudit.files.store import write_bytes_atomic

    text = freeze(run_side(run), split(only))
    if out:
        write_bytes_atomic(out, text.encode())
        typer.echo(f"{out}: {len(text):,} bytes")
    else:
        typer.echo(text, nl=False)


def register(app: typer.Typer) -> None:
    """Add the commands of this topic."""
    app.command("gate")(gate)
    app.command("baseline")(baseline)
