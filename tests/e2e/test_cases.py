"""Other people's files: the folders of ../shared/cases by their own commands, and the right result of each.

The folder is looked for in $FRAUDIT_CASES, then beside $FRAUDIT_DATA, then in ../shared/cases. Nothing here depends on
how good the model is: what is asserted is what was read, what was left out, and what the person is told.
"""

from __future__ import annotations

from pathlib import Path

from tests.fixtures.shell import Shell, Told, runs


def test_two_levels_of_folders_give_every_person_once(shell: Shell) -> None:
    found = runs(shell, "02-nested-folders")
    assert [(told.data["n_faces"], told.data["n_subjects"]) for told in found] == [(80, 20)] * 3
    assert [told.status for told in found] == ["done"] * 3
    assert "person/*" in found[0].err
    assert "*/person" in found[1].err
    assert "--layout" not in found[2].err


def test_pictures_of_every_ending_are_opened_or_counted(shell: Shell) -> None:
    mixed, att = runs(shell, "04-suffixes-dropped")
    assert mixed.data["n_faces"] == 48
    heic = [count for reason, count in mixed.data["fta"].items() if "HEIC" in reason]
    assert heic == [2] or mixed.data["fta"] == {}  # with pillow-heif they are opened
    assert (att.data["n_faces"], att.data["n_subjects"]) == (24, 12)
    assert [mixed.status, att.status] == ["done", "done"]


def test_linked_people_are_in_the_set(shell: Shell) -> None:
    for told in runs(shell, "05-symlinked-people"):
        assert (told.data["n_faces"], told.data["n_subjects"]) == (64, 16)
        assert told.status == "done"


def test_attacks_are_in_no_error_rate_and_have_their_own(shell: Shell) -> None:
    mixed, licit = runs(shell, "07-attack-scores-mixed")
    assert mixed.code == licit.code == 0
    assert "520 pairs, 120 genuine" in mixed.out
    assert "left out: 120 presentation attacks" in mixed.out
    assert "IAPAR" in mixed.out

    def rates(told: Told) -> list[str]:
        return [line for line in told.out.splitlines() if line.startswith(("Equal", "Area", "TAR", "d'"))]

    assert rates(mixed) == rates(licit)
    assert "IAPAR" not in licit.out


def test_distances_are_called_so_and_can_be_turned(shell: Shell) -> None:
    (command,) = shell.commands("08-distance-scores")
    plain = shell.run(command)
    assert plain.code == 0
    assert "--distance" in plain.out
    turned = shell.run([*command, "--distance"])
    assert "Area under the ROC: 1" in turned.out
    assert "--distance" not in turned.out
    assert "note: distances are negated" in turned.out


def test_lists_of_pairs_are_the_protocol(shell: Shell) -> None:
    rfw, no_header, paths, suffix, cplfw = runs(shell, "10-pairs-files")
    assert rfw.data["protocol_pairs"] == 57
    assert "race" in rfw.data["attributes"]
    assert "African_pairs.txt" in rfw.err
    for told in (no_header, paths, suffix):
        assert (told.data["protocol_pairs"], told.data["n_faces"], told.data["n_subjects"]) == (80, 48, 12)
    assert (cplfw.data["protocol_pairs"], cplfw.data["identified"]) == (80, False)
    assert {told.status for told in (rfw, no_header, paths, suffix, cplfw)} == {"done"}


def test_a_list_can_be_given_and_is_recorded(shell: Shell) -> None:
    command = shell.commands("10-pairs-files")[0]
    listed = "../shared/cases/10-pairs-files/rfw/txts/Asian/Asian_pairs.txt"
    told = shell.run([*command, "--pairs", listed])
    assert told.data["protocol_pairs"] == 27
    assert told.record["plan"]["pairs"] == listed
    assert f"--pairs {listed}" in told.record["environment"]["command"]
    assert any("Asian_pairs.txt" in note for note in told.data["notes"])


def test_a_limit_leaves_pairs_of_both_kinds(shell: Shell) -> None:
    lfw, sample = runs(shell, "12-limit-and-protocol")
    assert lfw.data["n_faces"] <= 60
    assert sample.data["n_faces"] <= 60
    assert [lfw.status, sample.status] == ["done", "done"]
    for told in (lfw, sample):
        scores = shell.place / "out" / "out" / "scores.csv"
        assert told.data["left_out"]["pictures beyond --limit"] > 0
        assert scores.is_file()
    assert lfw.data["protocol_pairs"] >= 20


def test_score_tables_of_every_kind_are_the_same_scores(shell: Shell) -> None:
    told = [(Path(command[-1]).name, shell.run(command)) for command in shell.commands("22-score-tables")]
    assert len(told) == 13
    shown = {name: one.out.splitlines()[0].split("): ")[-1] for name, one in told if one.code == 0}
    assert set(shown.values()) == {"490 pairs, 90 genuine"}
    assert len(shown) == 13
    lines = {
        name: [line for line in one.out.splitlines() if line.startswith("Equal error rate")]
        for name, one in told
    }
    eers = {line[0].split(" (")[0] for name, line in lines.items() if name not in ("na.csv", "percent.csv")}
    assert len(eers) == 1
    assert "columns not used: att1, att2" in dict(told)["bfw.csv"].out


def test_zips_of_windows_and_with_a_password(shell: Shell) -> None:
    backslash, password = runs(shell, "23-zip-flavours")
    assert (backslash.data["n_faces"], backslash.data["n_subjects"]) == (48, 12)
    assert backslash.status == "done"
    assert password.code == 5
    assert "is encrypted" in password.err
    assert "unpack it" in password.err


def test_a_card_with_a_mark_is_a_card(shell: Shell) -> None:
    (told,) = runs(shell, "25-bom-card")
    assert (told.data["n_faces"], told.status) == (48, "done")


def test_manifests_as_people_have_them(shell: Shell) -> None:
    found = runs(shell, "26-manifests")
    assert [(t.data["n_faces"], t.data["n_subjects"], t.data["attributes"]) for t in found] == [
        (48, 12, [])
    ] * 4
    assert {told.status for told in found} == {"done"}
    assert len({told.data["digest"] for told in found}) == 1


def test_a_folder_of_insightface_says_what_to_pass(shell: Shell) -> None:
    folder, records = runs(shell, "28-insightface-folder")
    assert [folder.code, records.code] == [5, 5]
    assert "lfw.bin" in folder.err
    assert "training records are not read" in records.err


def test_deep_pictures_are_seen(shell: Shell) -> None:
    (told,) = runs(shell, "32-twelve-bit-png")
    assert told.data["fta"].get("no face found", 0) <= 2
    assert told.status == "done"


def test_templates_of_ijb_are_named(shell: Shell) -> None:
    (told,) = runs(shell, "34-ijb-lists")
    assert told.code == 5
    assert "templates of several pictures: --dataset ijbc:FOLDER reads them" in told.err
    assert "ijbc_template_pair_label.txt" in told.err
