"""Score files: what is written reads back, foreign bytes mean what they say, bad lines are named."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np
import pytest

from fraudit.audit.evidence import write_run_scores
from fraudit.errors import DataError, UsageError
from fraudit.scores import (
    FORMATS,
    ScoreSet,
    read_run_scores,
    read_score_pair,
    read_scores,
    write_scores,
)
from tests.fixtures.contexts import vectors_context


def _set(seed: int = 0, people: int = 6) -> ScoreSet:
    """Every picture of three against every other one, once."""
    rng = np.random.default_rng(seed)
    subject = np.repeat(np.array([f"p{i}" for i in range(people)]), 3)
    name = np.array([f"{s}_{i}" for i, s in enumerate(subject)])
    i, j = np.triu_indices(len(name), 1)
    same = subject[i] == subject[j]
    score = rng.normal(np.where(same, 0.6, 0.1), 0.1)
    score[5] = np.nan
    return ScoreSet(name[i], name[j], same, score, subject[i], subject[j], np.arange(len(i)) % 10)


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_written_reads_back_and_is_recognised(format: str, tmp_path: Path) -> None:
    path = tmp_path / {"bee": "s.mtx", "pairs-parquet": "s.parquet"}.get(format, "s.txt")
    before = _set()
    write_scores(before, path, format)
    after = read_scores(path)
    assert after.format == format
    order = np.lexsort((after.right, after.left)) if format != "bee" else np.arange(len(after))
    expected = np.lexsort((before.right, before.left if format != "bob4" else before.left_subject))
    if format == "bee":  # the matrix is ordered by names, and holds float32
        expected = np.lexsort((before.right, before.left))
        np.testing.assert_array_equal(after.score[order], before.score[expected].astype(np.float32))
    elif format == "bob4":  # has no name of the enrolled picture
        assert np.sort(after.score).tolist()[:-1] == np.sort(before.score).tolist()[:-1]
    else:
        np.testing.assert_array_equal(after.score[order], before.score[expected])
        np.testing.assert_array_equal(after.same[order], before.same[expected])
    assert (after.same.sum(), np.isnan(after.score).sum()) == (before.same.sum(), 1)
    if format.startswith("pairs"):
        np.testing.assert_array_equal(after.fold, before.fold)


@pytest.mark.parametrize("mark", ["<", ">"])
@pytest.mark.parametrize("kind", ["S2", "D2"])
def test_a_bee_matrix_is_read_in_either_byte_order_and_distances_are_negated(
    mark: str, kind: str, tmp_path: Path
) -> None:
    values = [[0.9, 0.1, 0.3], [0.2, 0.8, 0.4]]
    body = b"".join(struct.pack(f"{mark}f", v) for row in values for v in row)
    head = f"{kind}\ngallery.xml\nprobes.xml\nMF 2 3 ".encode() + struct.pack(f"{mark}i", 0x12345678) + b"\n"
    (tmp_path / "a.mtx").write_bytes(head + body)
    mask = bytes([0xFF, 0x7F, 0x00, 0x7F, 0xFF, 0x7F])
    head = b"S2\ngallery.xml\nprobes.xml\nMB 2 3 " + struct.pack(f"{mark}i", 0x12345678) + b"\n"
    (tmp_path / "a.mask").write_bytes(head + mask)
    found = read_scores(tmp_path / "a.mtx")
    sign = -1 if kind == "D2" else 1
    assert found.score == pytest.approx(sign * np.array([0.9, 0.1, 0.2, 0.8, 0.4]), abs=1e-7)
    assert found.same.tolist() == [True, False, False, True, False]
    assert found.left.tolist() == ["q0", "q0", "q1", "q1", "q1"]
    assert found.right.tolist() == ["t0", "t1", "t0", "t1", "t2"]


def test_a_symmetric_matrix_of_one_set_counts_each_pair_once_and_no_picture_with_itself(
    tmp_path: Path,
) -> None:
    scores = np.array([[1, 0.7, 0.2], [0.7, 1, 0.1], [0.2, 0.1, 1]], "<f4")
    mask = np.array([[255, 255, 127], [255, 255, 127], [127, 127, 255]], "u1")
    for name, kind, table in (("a.mtx", "MF", scores), ("a.mask", "MB", mask)):
        head = f"S2\none.xml\none.xml\n{kind} 3 3 ".encode() + b"\x78\x56\x34\x12\n"
        (tmp_path / name).write_bytes(head + table.tobytes())
    found = read_scores(tmp_path / "a.mtx")
    assert found.score == pytest.approx([0.7, 0.2, 0.1])
    left, right, named = found.people()
    assert not named
    assert (left == right).tolist() == [True, False, False]


def test_bob_columns_mean_what_bob_says(tmp_path: Path) -> None:
    (tmp_path / "four").write_text("anna anna a/2 0.8\nanna ben b/1 -0.1\n\nben ben b/2 nan\n")
    four = read_scores(tmp_path / "four")
    assert (four.format, four.same.tolist()) == ("bob4", [True, False, True])
    assert np.isnan(four.score).tolist() == [False, False, True]
    (tmp_path / "five").write_text("anna m1 ben b/1 0.25\n")
    five = read_scores(tmp_path / "five")
    assert (five.left[0], five.right[0], five.left_subject[0], five.right_subject[0]) == (
        "m1",
        "b/1",
        "anna",
        "ben",
    )
    (tmp_path / "csv").write_text(
        "probe_subject_id,probe_template_id,bio_ref_subject_id,bio_ref_template_id,score\n1,1-2,1,1-1,0.5\n2,2-1,1,1-1,0.1\n"
    )
    table = read_scores(tmp_path / "csv")
    assert (table.left.tolist(), table.right.tolist(), table.same.tolist()) == (
        ["1-1", "1-1"],
        ["1-2", "2-1"],
        [True, False],
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a a x 0.5\na a 0.5\n", "line 2: expected 4 fields 'claimed_id real_id test_label score', found 3"),
        ("a a x 0.5\nb b y high\n", "line 2: expected a score, found 4 characters that are no number"),
        (
            "left,right,same,score\na,b,1,0.5\na,c,maybe,0.1\n",
            "line 3: expected same to be 1 or 0, found 5 other characters",
        ),
        ("left,right,same,score\na,b,1\n", "line 2: expected 4 fields, found 3"),
        ("left,right,same,score,fold\na,b,1,0.5,x\n", "line 2: expected a whole number for fold"),
        (
            "left,right,same,score,left_subject,right_subject\na,b,1,0.5,p,p\na,c,1,0.5,p,q\n",
            "line 3: same is 1, but the columns of people name two people",
        ),
        ("left,right,score\na,b,1\n", "line 1: no known score format"),
        ("left,right,same,score\n", "no scored pair"),
        ("", "line 1: no known score format"),
        ("a a x inf\n", "is infinite"),
        ("a a x 0,5\nb b y 0.5\n", "line 1: expected a score, found a number with a decimal comma"),
    ],
)
def test_a_line_that_does_not_fit_is_named(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "scores"
    path.write_text(text)
    with pytest.raises(DataError) as error:
        read_scores(path)
    assert words in error.value.message
    assert str(path) in error.value.message


@pytest.mark.parametrize(
    "text",
    [
        "Anna,Smith,Anna,Smith,Basel\n",
        "Anna Smith 1 0.5\nAnna 1 Smith 1 0.5\n",
        "left,right,same,score\n1,2,1,Anna\n",
        "left,right,same,score\n1,2,Anna,0.1\n",
        "left,right,same,score,fold\n1,2,1,0.1,Anna\n",
        "left,right,same,score,left_subject,right_subject\n1,2,1,0.5,Anna,Smith\n",
        "left;right;same;score;Anna\n1;2\n",
    ],
)
def test_an_error_names_the_line_and_repeats_nothing_of_it(text: str, tmp_path: Path) -> None:
    """Names in a score file are personal data, and a message ends in logs."""
    path = tmp_path / "scores"
    path.write_text(text)
    for format in ("auto", "bob4", "pairs-csv", "bee"):
        with pytest.raises(DataError) as error:
            read_scores(path, format)
        assert not {"Anna", "Smith", "Basel"} & set(
            re.findall(r"\w+", error.value.message + error.value.hint)
        ), format


def test_broken_binary_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mtx"
    write_scores(_set(), path, "bee")
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    with pytest.raises(DataError, match="bytes; found"):
        read_scores(path)
    path.write_bytes(whole.replace(b"\x78\x56\x34\x12", b"\x00\x00\x34\x12"))
    with pytest.raises(DataError, match="0x12345678"):
        read_scores(path)
    path.write_bytes(whole)
    (tmp_path / "a.mask").unlink()
    with pytest.raises(DataError, match="no mask"):
        read_scores(path)
    (tmp_path / "t").write_bytes(b"\xe9 a a a")
    with pytest.raises(DataError, match="not UTF-8"):
        read_scores(tmp_path / "t", "bob4")
    (tmp_path / "p").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match="Parquet"):
        read_scores(tmp_path / "p")
    with pytest.raises(DataError, match="no such file"):
        read_scores(tmp_path / "absent")
    with pytest.raises(UsageError, match="bob6"):
        read_scores(path, "bob6")


def test_people_are_the_named_ones_or_those_that_genuine_pairs_link() -> None:
    named = _set()
    left, right, known = named.people()
    assert known
    assert ((left == right) == named.same).all()
    bare = ScoreSet(named.left, named.right, named.same, named.score)
    left, right, known = bare.people()
    assert not known
    assert ((left == right) == named.same).all()
    assert len(np.unique(np.r_[left, right])) == 6


def test_a_runs_scores_are_the_cosines_of_its_pairs(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    subjects = np.repeat(np.arange(30), 3)
    vectors = rng.normal(0, 1, (30, 16))[subjects] + rng.normal(0, 0.3, (90, 16))
    vectors[7] = 0
    context = vectors_context(vectors, subjects)
    found = context.scores.listed()
    pairs, score = found.pairs, found.scores
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    expected = (unit[pairs.left] * unit[pairs.right]).sum(axis=1)
    lost = (pairs.left == 7) | (pairs.right == 7)
    assert (np.isnan(score) == lost).all()
    assert score[~lost] == pytest.approx(expected[~lost], abs=1e-6)
    write_run_scores(context, tmp_path / "scores.csv")
    back = read_run_scores(tmp_path / "scores.csv")
    np.testing.assert_array_equal(back.score, score)
    assert back.left[0] == context.faces.ids[pairs.left[0]]
    assert (back.fold == pairs.fold).all()


# -- score files as people have them


def _same_scores(path: Path, **options: object) -> None:
    found = read_scores(path, **options)  # type: ignore[arg-type]
    assert found.same.tolist() == [True, False, False]
    np.testing.assert_allclose(found.score, [0.75, 0.25, np.nan])


TABLES = {
    "tabs": "left\tright\tsame\tscore\na\tb\t1\t0.75\na\tc\t0\t0.25\na\td\t0\t\n",
    "semicolons": "Left;Right;Same;Score\na;b;1;0,75\na;c;0;0,25\na;d;0;NA\n",
    "blanks": "left right same score\na b 1 0.75\na c 0 0.25\na d 0 nan\n",
    "flags": "left,right,same,score\na,b,True,0.75\na,c,-1,0.25\na,d,0.0,None\n",
    "bfw": (
        "fold,p1,p2,label,id1,id2,att1,att2,score\n1,a,b,1,x,x,m,m,0.75\n1,a,c,0,x,y,m,m,0.25\n1,a,d,0,x,z,m,f,nan\n"
    ),
    "other names": "img_a,img_b,is_same,cosine_similarity\na,b,yes,0.75\na,c,no,0.25\na,d,no,null\n",
    "people alone": "subject1,subject2,similarity\nx,x,0.75\nx,y,0.25\nx,z,\n",
    "labels alone": "label,score\n1,0.75\n0,0.25\n0,nan\n",
    "no header": "a,b,1,0.75\na,c,0,0.25\na,d,0,nan\n",
    "no header, blanks": "a b 1 0.75\na c 0 0.25\na d 0 nan\n",
    "index": ",left,right,same,score\n0,a,b,1,0.75\n1,a,c,0,0.25\n2,a,d,0,nan\n",
    "comment as header": "# left right same score\na b 1 0.75\na c 0 0.25\na d 0 nan\n",
    "percent": "left,right,same,score\na,b,1,75%\na,c,0,25%\na,d,0,\n",
    "distances": "left,right,same,distance\na,b,1,-0.75\na,c,0,-0.25\na,d,0,\n",
}


@pytest.mark.parametrize("form", TABLES)
@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_of_every_kind_give_the_same_scores(form: str, coding: str, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_bytes(TABLES[form].encode(coding))
    _same_scores(tmp_path / "t.txt")


def test_a_table_of_floats_in_parquet_is_read(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    columns = {
        "image1": ["a", "a", "a"],
        "image2": ["b", "c", "d"],
        "match": [1.0, 0.0, 0.0],
        "sim": [0.75, 0.25, None],
    }
    parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    _same_scores(tmp_path / "t.parquet")


def test_a_column_of_scores_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("p1,p2,label,resnet,vgg\na,b,1,0.75,0\na,c,0,0.25,0\na,d,0,nan,0\n")
    _same_scores(path, column="resnet")
    with pytest.raises(DataError, match="--column names it"):
        read_scores(path)
    with pytest.raises(DataError, match="'dlib' is missing"):
        read_scores(path, column="dlib")


def test_distances_are_turned_once(tmp_path: Path) -> None:
    (tmp_path / "plain.csv").write_text("left,right,same,score\na,b,1,0.2\na,c,0,0.9\n")
    (tmp_path / "named.csv").write_text("left,right,same,distance\na,b,1,0.2\na,c,0,0.9\n")
    assert read_scores(tmp_path / "plain.csv").score.tolist() == [0.2, 0.9]
    for path in ("plain.csv", "named.csv"):
        found = read_scores(tmp_path / path, distance=True)
        assert found.score.tolist() == [-0.2, -0.9]
        assert found.distance
    assert read_scores(tmp_path / "named.csv").score.tolist() == [-0.2, -0.9]


def test_rows_that_repeat_are_counted_and_left_out_where_asked(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = "a,b,1,0.5\na,c,0,0.1\na,b,1,0.5\na,b,1,0.6\na,d,0,nan\na,d,0,nan\n"
    path.write_text("left,right,same,score\n" + rows)
    assert len(read_scores(path)) == 6
    found = read_scores(path, unique=True)
    assert found.left_out == {"duplicate rows": 2}
    assert (found.left.tolist(), found.right.tolist()) == (["a"] * 4, ["b", "c", "b", "d"])
    # Bob's four columns name no template: equal whole numbers may be two comparisons.
    (tmp_path / "bob").write_text("x x p 7\nx x p 7\nx y q 0.25\nx y q 0.25\n")
    assert len(read_scores(tmp_path / "bob", unique=True)) == 3


def test_attacks_are_apart_from_the_pairs(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(
        "bio_ref_subject_id,probe_subject_id,probe_key,probe_attack_type,score\n"
        "s,s,1,,0.9\ns,s,2,print,0.5\ns,t,3,bona-fide,0.1\nu,u,4,replay,0.7\n"
    )
    found = read_scores(path)
    assert found.same.tolist() == [True, False]
    assert found.attacks is not None
    assert found.attacks.kind.tolist() == ["print", "replay"]
    assert found.attacks.claimed.tolist() == ["s", "u"]
    assert found.attacks.score.tolist() == [0.5, 0.7]
    assert found.left_out == {"presentation attacks (reported apart)": 2}
    (tmp_path / "old").write_text("s s a 0.9\ns attack/print b 0.5\ns t c 0.1\n")
    old = read_scores(tmp_path / "old")
    assert (len(old), old.format) == (2, "bob4")
    assert old.attacks is not None


@pytest.mark.parametrize(
    ("genuine", "impostor"),
    [
        ("0.9\n0.8\n", "0.1\n0.2\n0.3\n"),
        ("0,9\n0,8\n", "0,1\n0,2\n0,3\n"),
        ("# g\nx y 0.9\nx z 0.8\n", "x v 0.1\nx w 0.2\nx u 0.3\n"),
        ("left,right,score\nx,y,0.9\nx,z,0.8\n", "left,right,score\nx,v,0.1\nx,w,0.2\nx,u,0.3\n"),
    ],
)
def test_two_files_one_of_each_kind(genuine: str, impostor: str, tmp_path: Path) -> None:
    (tmp_path / "g.txt").write_text(genuine)
    (tmp_path / "i.txt").write_text(impostor)
    found = read_score_pair(tmp_path / "g.txt", tmp_path / "i.txt")
    assert found.same.tolist() == [True, True, False, False, False]
    assert found.score.tolist() == [0.9, 0.8, 0.1, 0.2, 0.3]
    assert read_score_pair(tmp_path / "g.txt", tmp_path / "i.txt", distance=True).score[0] == -0.9


def test_what_is_no_score_table_shows_no_raw_bytes(tmp_path: Path) -> None:
    for name, data in (
        ("a", b"\x80\x04\x95" + bytes(range(256))),
        ("b", b"\x1b]0;owned\x07 x y\nz\n"),
        ("c", b"PK\x03\x04x"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError) as caught:
            read_scores(tmp_path / name)
        assert caught.value.message.isprintable()


def test_names_with_every_delimiter_come_back_as_they_were(tmp_path: Path) -> None:
    names = np.array(["#1.png", "a;b", "c\td", 'e"f', "g,h", "=1+1", "'x", "0", "i j"])
    odd = ScoreSet(names, names[::-1].copy(), np.arange(9) % 2 == 0, np.linspace(-1, 1, 9), fold=np.arange(9))
    write_scores(odd, tmp_path / "scores.csv")
    again = read_scores(tmp_path / "scores.csv", "pairs-csv")
    assert again.left.tolist() == names.tolist()
    assert again.right.tolist() == names[::-1].tolist()
    assert again.score.tolist() == odd.score.tolist()
