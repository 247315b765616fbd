"""`fraudit threshold` and `fraudit gate --policy` from end to end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fraudit.cli.main import run
from fraudit.policy import Policy
from tests.fixtures.run_stored import run_of


def vectors(count: int, seed: int, common: float = 0.0, pictures: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(count, 48))
    centres[:, 0] += common
    subjects = np.repeat(np.arange(count), pictures)
    return centres[subjects] + 0.7 * rng.normal(size=(len(subjects), 48)), subjects


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs: `first`; `second` of the same kind; `near`, whose strangers are alike; `other` model."""
    root = tmp_path_factory.mktemp("runs")
    male = np.repeat(np.arange(120) % 2, 4)
    run_of(root / "first", *vectors(120, 0), "first", {"male": male})
    run_of(root / "second", *vectors(120, 1), "second")
    run_of(root / "near", *vectors(120, 2, common=3.0), "near")
    run_of(root / "other", *vectors(120, 3), "other", model="0" * 64)
    return root


@pytest.fixture(scope="module")
def policy(kept: Path) -> Path:
    """A policy of `first`."""
    path = kept / "policy.json"
    assert (
        run(["threshold", "--run", str(kept / "first"), "--fmr", "5e-2", "--out", str(path), "--quiet"]) == 0
    )
    return path


def said(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """(exit code, standard output, standard error) of `fraudit threshold WORDS`."""
    capsys.readouterr()
    code = run(["threshold", *map(str, words)])
    out, err = capsys.readouterr()
    return code, out, err


def test_dlib_on_the_sample_from_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, junit, chart = tmp_path / "policy.json", tmp_path / "p.xml", tmp_path / "ece.svg"
    code, text, _ = said(
        capsys,
        "--embedder",
        "dlib",
        "--dataset",
        "sample",
        "--limit",
        180,
        "--fmr",
        "0.1,1e-4",
        "--prior",
        0.01,
        "--profile",
        "nist-800-63a-4",
        "--junit",
        junit,
        "--chart",
        chart,
        "--out",
        out,
    )
    assert code in (1, 3)  # a set of thirty people meets no plan
    made = Policy.load(out)
    assert [p.name for p in made.points[:2]] == ["fmr=1e-1", "fmr=1e-4"]
    assert made.points[0].resolvable
    assert not made.points[1].resolvable
    assert "not resolvable: 1e-4 needs" in text
    assert "of comparisons are of one person, a score at the threshold of fmr=1e-1" in text
    assert "consent" in text
    assert junit.read_text().count("<testcase") >= 6
    assert chart.read_text().startswith("<svg")
    threshold = made.points[0].threshold
    assert threshold is not None
    assert made.decide(threshold).accept
    assert not made.decide(threshold - 1e-6).accept


def test_no_target_that_can_be_promised_is_not_enough_evidence(
    kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text, _ = said(
        capsys, "--run", kept / "first", "--fmr", "1e-6", "--out", tmp_path / "p.json", "--quiet"
    )
    assert code == 3
    assert "the smallest that can be promised is" in text
    assert not (tmp_path / "p.json").exists()
    last = text.strip().splitlines()[-1]
    assert last.startswith("no policy is written: no target has a threshold. Ask for --fmr ")
    asked = last.partition("--fmr ")[2].split()[0]
    again = said(capsys, "--run", kept / "first", "--fmr", asked, "--out", tmp_path / "p.json", "--quiet")
    assert again[0] == 0, "the target that it names can be promised"
    before = (tmp_path / "p.json").read_bytes()
    words = ("--run", kept / "first", "--fmr", "1e-6", "--out", tmp_path / "p.json", "--quiet", "--overwrite")
    code, text, _ = said(capsys, *words)
    assert code == 3
    assert "is left as it was" in text
    assert (tmp_path / "p.json").read_bytes() == before


def test_a_policy_without_a_threshold_is_refused_by_the_gate(
    kept: Path, policy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Earlier versions wrote such files."""
    value = json.loads(policy.read_text())
    value["points"] = [p | {"threshold": None, "bound": None, "resolvable": False, "reason": "not resolvable: few"}
                       for p in value["points"]]  # fmt: skip
    old = tmp_path / "old.json"
    old.write_text(json.dumps(value))
    capsys.readouterr()
    code = run(["gate", "--policy", str(old), "--new", str(kept / "second")])
    err = capsys.readouterr().err
    assert code == 5
    assert "none of its targets has one: not resolvable: few" in err
    assert len(err.strip().splitlines()) <= 2


def test_a_set_where_the_promise_breaks_is_told(
    kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--run", kept / "first", "--fmr", "5e-2", "--quiet", "--out")
    code, text, _ = said(capsys, *words, tmp_path / "a.json", "--check", kept / "near")
    assert code == 0
    assert "BROKEN" in text
    code, text, _ = said(capsys, *words, tmp_path / "b.json", "--check", kept / "second")
    assert code == 0
    assert "BROKEN" not in text


def test_a_policy_is_replaced_only_where_asked(
    kept: Path, policy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--run", kept / "first", "--fmr", "0.1", "--quiet", "--out")
    before = policy.read_bytes()
    code, _, err = said(capsys, *words, policy)
    assert code == 2
    assert "--overwrite" in err
    assert policy.read_bytes() == before
    foreign = tmp_path / "mine.json"
    foreign.write_text('{"mine": 1}')
    code, _, err = said(capsys, *words, foreign, "--overwrite")
    assert code == 2
    assert "another program's file" in err
    assert foreign.read_text() == '{"mine": 1}'
    assert said(capsys, *words, tmp_path, "--overwrite")[0] == 2


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (("--fmr", "1"), 2, "between 1e-06 and 0.5"),
        (("--fmr", "0"), 2, "between 1e-06 and 0.5"),
        (("--fmr", "0,001"), 2, "found '0,001': a comma stands between two targets"),
        (("--fmr", "0,001"), 2, "decimals have a point: --fmr 0.001"),
        (("--fmr", "0,001,0,01"), 2, "--fmr 0.001,0.01"),
        (("--fmr", "1%"), 2, "a share, not percent: --fmr 0.01"),
        (("--fpir", "0.5 %"), 2, "a share, not percent: --fpir 0.005"),
        (("--fmr", "often"), 2, "expected a number such as 1e-4, found 'often'"),
        ((), 2, "no target was given"),
        (("--fmr", "0.1", "--people", "50"), 2, "no --fpir was given"),
        (("--fmr", "0.1", "--every-group", "mael"), 2, "did you mean 'male'"),
        (("--fmr", "0.1", "--profile", "nist"), 2, "unknown profile 'nist'"),
        (("--fmr", "0.1", "--junit", "x.xml"), 2, "no --profile was given"),
        (("--fmr", "0.1", "--prior", "1"), 2, "a probability between 0 and 1"),
        (("--fmr", "0.1", "--embedder", "dlib"), 2, "--embedder (with --dataset), or --run"),
        (("--fmr", "0.1", "--check", "nowhere"), 5, "nowhere"),
    ],
)
def test_bad_input_is_one_line(
    kept: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    code: int,
    expected: str,
) -> None:
    found, out, err = said(capsys, "--run", kept / "first", "--out", tmp_path / "p.json", "--quiet", *words)
    assert found == code, err
    assert expected in err
    assert len(err.strip().splitlines()) <= 2
    assert not out
    assert not (tmp_path / "p.json").exists()


def test_a_set_without_identities_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    for i in range(4):
        Image.fromarray(np.full((32, 32, 3), 40 * i, np.uint8)).save(tmp_path / f"{i}.png")
    code, _, err = said(
        capsys, "--embedder", "dlib", "--dataset", tmp_path, "--fmr", "0.1", "--out", tmp_path / "p.json"
    )
    assert code == 5
    assert "identities" in err or "who is shown" in err


def test_a_gate_holds_a_run_to_the_policy(
    kept: Path, policy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def gate(name: str, *words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(["gate", "--policy", str(policy), "--new", str(kept / name), *words])
        return code, *capsys.readouterr()

    code, text, _ = gate("second", "--junit", str(tmp_path / "g.xml"))
    assert code in (0, 3)
    assert "policy.fmr@fmr=5e-2" in text
    assert (tmp_path / "g.xml").read_text().count("<testcase") == 2
    code, text, _ = gate("near")
    assert code == 1
    assert "FAIL  policy.fmr@fmr=5e-2" in text
    code, _, err = gate("other")
    assert code == 6
    assert "another one" in err
    assert "these very people" in gate("first")[1]
    rules = tmp_path / "gate.toml"
    rules.write_text('[rules]\n"verification.auc" = { min = 0.1 }\n')
    code, text, _ = gate("near", "--rules", str(rules))
    assert code == 1
    assert "another 5 %" in text


def test_the_rules_file_may_name_the_policy(
    kept: Path, policy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = policy.parent / "with_policy.toml"

    def gate(text: str, name: str, *words: str) -> tuple[int, str, str]:
        rules.write_text(f"[rules]\n{text}\n")
        capsys.readouterr()
        code = run(["gate", "--rules", str(rules), "--new", str(kept / name), *words])
        return code, *capsys.readouterr()

    alone = f'policy = "{policy.name}"'
    code, text, _ = gate(alone, "near")
    assert code == 1
    assert "FAIL  policy.fmr@fmr=5e-2" in text
    code, text, _ = gate(alone + '\n"verification.auc" = { min = 0.1 }', "second")
    assert code in (0, 3)
    assert "verification.auc" in text
    assert "policy.fmr@fmr=5e-2" in text
    code, _, err = gate(alone, "other")
    assert code == 6
    assert "another one" in err
    code, _, err = gate('policy = "gone.json"', "second")
    assert code == 2
    assert "there is no file" in err
    code, _, err = gate("policy = 3", "second")
    assert code == 2
    assert "expected a file name, found 3" in err
    code, _, err = gate(alone, "second", "--plan")
    assert code == 2
    assert "a policy alone" in err
    assert gate(alone + "\n[other]", "second")[0] == 2
    assert gate('policy = "gone.json"', "second", "--policy", str(policy))[0] == 2


def test_a_gate_without_rules_and_policy_asks_for_one(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["gate", "--new", str(kept / "first")]) == 2
    assert "no rules were given" in capsys.readouterr().err


def test_a_baseline_cannot_be_held_to_a_policy(
    kept: Path, policy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frozen = kept / "baseline.json"
    assert run(["baseline", str(kept / "first"), "--out", str(frozen)]) == 0
    assert run(["gate", "--policy", str(policy), "--new", str(frozen)]) == 2
    assert "holds no vectors" in capsys.readouterr().err


def test_a_policy_decides_in_ten_lines_without_torch(policy: Path) -> None:
    code = (
        "import sys\n"
        "from fraudit.api import Policy\n"
        "policy = Policy.load(sys.argv[1])\n"
        "policy.check_model('f' * 64)\n"
        "found = policy.decide(0.99, prior=0.01)\n"
        "heavy = set('torch onnxruntime cv2 pandas sklearn scipy matplotlib PIL'.split()) & set(sys.modules)\n"
        "print(found.accept, round(found.probability, 2) > 0.01, sorted(heavy))\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, str(policy)], capture_output=True, text=True, check=True
    )
    assert answer.stdout == "True True []\n"


def test_what_is_written_is_plain_json_with_its_reasons(policy: Path) -> None:
    found = json.loads(policy.read_text())
    assert found["schema"] == "fraudit-policy/1"
    assert found["fingerprint"] == "f" * 64
    assert found["points"][0]["estimate"] == ""
    assert any("lawful basis" in note for note in found["notes"])
