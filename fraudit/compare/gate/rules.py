"""Rules of a gate: a TOML file, and which metrics of a run each rule means."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from fraudit.compare.hooks import mains, owner, short_name
from fraudit.errors import UsageError, suggest
from fraudit.files.doors import CARD_BYTES, read_file
from fraudit.files.kinds import parse_as

Key = tuple[str, str]
LIMITS = ("max", "min", "max_increase", "max_decrease")
# Rules on the cosine of the same face under both models: name -> which of its figures.
SAME_FACE = {
    "same_face_cosine": "mean",
    "same_face_cosine.median": "median",
    "same_face_cosine.p1": "p1",
    "same_face_cosine.min": "min",
}
POLICY = "policy"  # the key of `[rules]` that is no metric
SEVERITIES = ("error", "warning")
KNOWN = (*LIMITS, "severity", "require_evidence", "group")


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of `[rules]`.

    Attributes:
        name: as written. limits: kind -> limit, kinds of `LIMITS`.
        severity: an `error` decides the exit code, a `warning` is only shown.
        require_evidence: whether an undecided rule stays undecided, or passes with a warning where the figure
            itself keeps the limit.
        group: demographic group, or None for all faces (where only groups have the metric: for each group).
    """

    name: str
    limits: Mapping[str, float]
    severity: Literal["error", "warning"] = "error"
    require_evidence: bool = True
    group: str | None = None

    @property
    def relative(self) -> bool:
        """Whether it compares two runs."""
        return self.name in SAME_FACE or any(kind.startswith("max_") for kind in self.limits)


@dataclass(frozen=True, slots=True)
class GateFile:
    """A rules file: `rules` in its order, and the policy that it names (`[rules] policy = "FILE"`), or None."""

    rules: tuple[Rule, ...]
    policy: Path | None = None


def read_gate(path: Path) -> GateFile:
    """The rules of a TOML file and its policy, whose path starts at the file's folder.

    Raises:
        UsageError: unreadable, not TOML, no rule, an unknown key (nearest suggested), a value that does not fit, or
            there is no such policy.
    """
    hint = 'below [rules] write "fnmr@fmr=1e-3" = { max_increase = 0.002 }; metric names need quotes'
    data = read_file(
        path, CARD_BYTES, "--rules names a TOML file of rules (docs/gate.md)", "the rules", UsageError
    )
    table = parse_as("rules", data, path, hint, UsageError)
    rules = table.get("rules")
    named = rules.get(POLICY) if isinstance(rules, dict) else None
    if not isinstance(rules, dict) or named is None:
        return GateFile(tuple(parse_rules(table, str(path))))
    if not isinstance(named, str) or not named:
        raise UsageError(
            f"{path}: {POLICY}: expected a file name, found {named!r}", f'{POLICY} = "policy.json"'
        )
    policy = path.parent / named
    if not policy.is_file():
        raise UsageError(
            f"{path}: {POLICY}: there is no file {policy}",
            "a relative path starts at the folder of the rules",
        )
    rest = {key: value for key, value in rules.items() if key != POLICY}
    alone = not rest and set(table) == {"rules"}
    return GateFile(() if alone else tuple(parse_rules({**table, "rules": rest}, str(path))), policy)


def parse_rules(table: Mapping[str, Any], where: str = "rules") -> list[Rule]:
    """Rules of a parsed TOML document. Raises UsageError as `read_gate` does."""
    for key in table:
        if key != "rules":
            raise UsageError(f"{where}: unknown table '{key}'", f"{suggest(key, ['rules'])}known: rules")
    rules = table.get("rules")
    if not isinstance(rules, dict) or not rules:
        raise UsageError(
            f"{where}: no rule found", 'write [rules] and "fnmr@fmr=1e-3" = { max_increase = 0.002 } below it'
        )
    return [_rule(name, value, where) for name, value in rules.items()]


def _rule(name: str, value: Any, where: str) -> Rule:
    at = f"{where}, rule '{name}'"
    if not isinstance(value, dict):
        raise UsageError(
            f"{at}: expected a table of limits, found {value!r}",
            'names with dots need quotes: "robustness.mce" = { max_increase = 0.01 }',
        )
    for key, inner in value.items():
        if key not in KNOWN:
            nested = isinstance(inner, dict)
            hint = (
                "names with dots need quotes" if nested else f"{suggest(key, KNOWN)}known: {', '.join(KNOWN)}"
            )
            raise UsageError(f"{at}: unknown key '{key}'", hint)
    limits = {key: value[key] for key in LIMITS if key in value}
    if not limits:
        raise UsageError(f"{at}: no limit", f"give one of {', '.join(LIMITS)}")
    for key, limit in limits.items():
        if isinstance(limit, bool) or not isinstance(limit, int | float) or limit != limit:
            raise UsageError(f"{at}: {key}: expected a number, found {limit!r}")
        if key.startswith("max_") and limit < 0:
            raise UsageError(f"{at}: {key}: expected at least 0, found {limit}")
    if name in SAME_FACE and set(limits) != {"min"}:
        raise UsageError(f"{at}: expected the limit min alone", f'write "{name}" = {{ min = 0.99 }}')
    severity = value.get("severity", "error")
    if severity not in SEVERITIES:
        raise UsageError(
            f"{at}: severity: unknown value {severity!r}",
            f"{suggest(str(severity), SEVERITIES)}known: {', '.join(SEVERITIES)}",
        )
    evidence = value.get("require_evidence", True)
    if not isinstance(evidence, bool):
        raise UsageError(f"{at}: require_evidence: expected true or false, found {evidence!r}")
    group = value.get("group")
    if group is not None and not isinstance(group, str):
        raise UsageError(f"{at}: group: expected a text, found {group!r}")
    return Rule(name, {k: float(v) for k, v in limits.items()}, severity, evidence, group)


def plain_name(name: str) -> str:
    """A metric's name with its numbers in one spelling: `fnmr@fmr=0.001` and `fnmr@fmr=1e-3` are the same.

    The decimal point becomes a comma, so that only components are separated by dots.
    """
    number = r"=([0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"
    return re.sub(number, lambda found: "=" + f"{float(found[1]):g}".replace(".", ","), name)


def _fits(pattern: str, name: str) -> bool:
    """Whether `pattern` means the metric `name`: the same, a glob, a tail, or with components left out.

    `fnmr@fmr=1e-3` means `verification.fnmr@fmr=1e-3`; `bias.max_over_min_fmr` means that of every attribute.
    """
    if "*" in pattern:
        return fnmatchcase(name, pattern)
    wanted, found = pattern.split("."), name.split(".")
    if wanted == found[-len(wanted) :]:
        return True
    return len(wanted) == 2 and len(found) == 3 and wanted == [found[0], found[-1]]


def resolve(rule: Rule, keys: Iterable[Key]) -> list[Key]:
    """The (metric, group) keys a rule means, in their order; empty where there is none.

    The exact name wins over abbreviations; without `group`, figures of all faces win over those of groups.
    """
    wanted = plain_name(rule.name)
    plain = [(key, plain_name(key[0])) for key in keys]
    found = [key for key, name in plain if name == wanted] or [
        key for key, name in plain if _fits(wanted, name)
    ]
    short = [key for key in found if owner(key[0]) in mains()]
    if "." not in rule.name.split("@")[0] and short:
        found = short
    if rule.group is not None:
        return [key for key in found if key[1] == rule.group]
    return [key for key in found if not key[1]] or found


def unknown(rule: Rule, keys: Iterable[Key]) -> UsageError:
    """The error for a rule that means no metric, with the nearest one."""
    known = list(keys)
    if rule.group is not None:
        ungrouped = Rule(rule.name, rule.limits)
        groups = sorted({key[1] for key in known if resolve(ungrouped, [key]) and key[1]})
        if groups:
            return UsageError(
                f"rule '{rule.name}': no group '{rule.group}'",
                f"{suggest(rule.group, groups)}known: {', '.join(groups)}",
            )
    names = list(dict.fromkeys(name for name, _ in known))
    short = {short_name(name): name for name in names}
    near = suggest(rule.name, [*names, *short, *SAME_FACE])
    return UsageError(
        f"rule '{rule.name}': the new run has no such metric",
        near or "`fraudit show RUN --all` lists its metrics",
    )
