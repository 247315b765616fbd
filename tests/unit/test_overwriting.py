"""Only what says of itself that it is ours is replaced; what another program left stays as it is."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from fraudit.audit.folders import claim_folder, unreported
from fraudit.cli.main import run
from fraudit.compare.outputs import write as write_comparison
from fraudit.diffusion.data.shards import build_shards
from fraudit.diffusion.model.checkpoint import read_inverter_card, save_inverter
from fraudit.errors import ArtifactError, FrauditError, UsageError
from fraudit.report.record import RunRecord


def files(folder: Path) -> dict[str, bytes]:
    """Relative name -> bytes of everything below a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def stranger(folder: Path, run_json: str) -> dict[str, bytes]:
    (folder / "report").mkdir(parents=True)
    (folder / "artifacts").mkdir()
    (folder / "run.json").write_text(run_json)
    for name in ("report/index.html", "artifacts/a.png", "scores.csv", "vectors.npz"):
        (folder / name).write_text("theirs")
    return files(folder)


@pytest.mark.parametrize(
    "run_json",
    [
        "{}",
        '{"schema": "other"}',
        '{"schema": ["fraudit-run"]}',
        "[]",
        "not json",
        "",
        '"fraudit-run"',
        "null",
        "[" * 9999,
    ],
)
@pytest.mark.parametrize("overwrite", [True, False])
def test_a_folder_with_another_programs_run_json_is_never_touched(
    tmp_path, run_json: str, overwrite: bool
) -> None:
    before = stranger(tmp_path / "run", run_json)
    with pytest.raises(UsageError, match="is no run of fraudit"):
        claim_folder(tmp_path / "run", overwrite)
    assert files(tmp_path / "run") == before


def test_a_folder_whose_run_json_is_a_pipe_or_a_link_to_a_device_is_refused(tmp_path) -> None:
    stranger(tmp_path / "run", "{}")
    target = tmp_path / "run" / "run.json"
    target.unlink()
    os.mkfifo(target)
    with pytest.raises(UsageError, match="is no run of fraudit"):
        claim_folder(tmp_path / "run", True)
    target.unlink()
    target.symlink_to("/dev/zero")
    with pytest.raises(UsageError, match="is no run of fraudit"):
        claim_folder(tmp_path / "run", True)


def test_analyze_refuses_a_strangers_folder(tmp_path, capsys) -> None:
    before = stranger(tmp_path / "run", '{"schema": "somebody-else"}')
    arguments = ["analyze", "--embedder", "dlib", "--limit", "40", "--only", "verification", "--overwrite"]
    assert run([*arguments, "--out", str(tmp_path / "run")]) == 2
    assert "is no run of fraudit" in capsys.readouterr().err
    assert files(tmp_path / "run") == before


def test_our_own_runs_are_replaced_as_before(tmp_path) -> None:
    folder = tmp_path / "run"
    RunRecord({}, {}, {}, status="incomplete").save(folder)
    claim_folder(folder, False)
    RunRecord({}, {}, {}).save(folder)
    with pytest.raises(UsageError, match="holds a finished run"):
        claim_folder(folder, False)
    (folder / "notes.txt").write_text("kept")
    claim_folder(folder, True)
    assert files(folder) == {"notes.txt": b"kept"}


def test_a_temporary_file_that_a_kill_left_does_not_make_a_folder_foreign(tmp_path) -> None:
    (tmp_path / ".run-a1b2c3_4.json").write_text('{"schema": "fra')
    claim_folder(tmp_path, False)
    assert files(tmp_path) == {}
    (tmp_path / ".run-of-somebody.json").write_text("{}")
    with pytest.raises(UsageError, match="is no run of fraudit"):
        claim_folder(tmp_path, True)


def test_a_finished_run_without_its_report_is_known_by_its_plan(tmp_path, capsys) -> None:
    out = tmp_path / "run"
    arguments = f"analyze --embedder dlib --dataset sample --limit 60 --only leakage --out {out}".split()
    record = RunRecord({"embedder": "x"}, {}, {})
    record.save(out)
    assert unreported(out, {"embedder": "x"}).plan == {"embedder": "x"}
    assert unreported(out, {"embedder": "y"}) is None
    assert run(arguments) == 2  # another plan
    assert "finished run" in capsys.readouterr().err
    (out / "report").mkdir()
    (out / "report" / "index.html").write_text("made")
    assert unreported(out, {"embedder": "x"}) is None


def test_a_comparison_replaces_comparisons_alone(tmp_path) -> None:
    (tmp_path / "index.html").write_text("my site")
    with pytest.raises(UsageError, match="another program"):
        write_comparison(None, tmp_path)  # type: ignore[arg-type]
    (tmp_path / "comparison.json").write_text('{"schema": "other"}')
    with pytest.raises(UsageError, match="is no comparison of fraudit"):
        write_comparison(None, tmp_path)  # type: ignore[arg-type]
    assert (tmp_path / "index.html").read_text() == "my site"


def test_scores_replaces_its_own_files_alone(tmp_path, capsys) -> None:
    source = tmp_path / "s.csv"
    rows = [f"{i}a,{i}b,1,{0.9 - i / 1000}" for i in range(40)] + [
        f"{i}a,{i + 1}b,0,{i / 1000}" for i in range(40)
    ]
    source.write_text("left,right,same,score\n" + "\n".join(rows) + "\n")
    out = tmp_path / "out"
    out.mkdir()
    (out / "scores.csv").write_text("mine")
    assert run(["scores", str(source), "--out", str(out)]) == 2
    assert files(out) == {"scores.csv": b"mine"}
    (out / "scores.csv").unlink()
    for _ in range(2):
        assert run(["scores", str(source), "--out", str(out)]) == 0
    (out / "verification.json").write_text("{}")
    assert run(["scores", str(source), "--out", str(out)]) == 2
    capsys.readouterr()


def test_an_inverter_replaces_inverters_alone(tmp_path) -> None:
    import torch

    state = {"w": torch.zeros(3)}
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "model-00001-of-00002.safetensors").write_bytes(b"theirs")
    with pytest.raises(UsageError, match="another program's"):
        save_inverter(theirs, state, {})
    (theirs / "card.json").write_text('{"kind": "teapot"}')
    with pytest.raises(UsageError, match="is no inverter of fraudit"):
        save_inverter(theirs, state, {})
    assert len(files(theirs)) == 2
    mine = tmp_path / "mine"
    save_inverter(mine, {**state, "v": torch.zeros(3)}, {}, max_bytes=12)
    assert len(list(mine.glob("model-*"))) == 2
    (mine / "model-00009-of-00009.safetensors").write_bytes(b"another's, in a folder of ours")
    save_inverter(mine, state, {})
    assert {p.name for p in mine.glob("model-*")} == {
        "model-00001-of-00001.safetensors",
        "model-00009-of-00009.safetensors",
    }


def test_an_inverter_that_was_stopped_half_written_is_refused_and_can_be_written_again(
    tmp_path, monkeypatch
) -> None:
    import torch

    from fraudit.diffusion.model import checkpoint

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "write_atomic", stop)
        with pytest.raises(KeyboardInterrupt):
            save_inverter(tmp_path / "inverter", {"w": torch.zeros(3)}, {})
    with pytest.raises(ArtifactError, match="half-written"):
        read_inverter_card(tmp_path / "inverter")
    save_inverter(tmp_path / "inverter", {"w": torch.zeros(3)}, {})
    assert json.loads((tmp_path / "inverter" / "card.json").read_text())["files"]


def test_shards_replace_shards_alone(tmp_path) -> None:
    (tmp_path / "index.json").write_text('{"pages": []}')
    with pytest.raises(FrauditError, match="is no folder of training shards"):
        build_shards(tmp_path, [], None, np.zeros((5, 2), np.float32), 64, "x")
    assert files(tmp_path) == {"index.json": b'{"pages": []}'}
