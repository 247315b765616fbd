"""Lists of pairs in their published forms, and how they meet the pictures of a set."""

import gzip

import numpy as np
import pytest

from fraudit.errors import DataError
from fraudit.faces.members import MISSING
from fraudit.faces.protocols import drawn_folds, read_named_pairs
from fraudit.faces.sources import open_faces
from tests.fixtures.picture_files import lay_out, pack, picture

PEOPLE, EACH = ("A_B", "C", "D", "E"), 3


def pictures(template="{person}/{person}_{number:04d}.png"):
    return {
        template.format(person=person, number=number): picture(40 * place + 10 * number)
        for place, person in enumerate(PEOPLE)
        for number in range(1, EACH + 1)
    }


def pairs_of(faces):
    """(ids, ids, same) of every pair."""
    found = faces.pairs
    return [
        (faces.ids[a], faces.ids[b], bool(same))
        for a, b, same in zip(found.left, found.right, found.same, strict=True)
    ]


EXPECTED = [
    ("A_B/A_B_0001.png", "A_B/A_B_0002.png", True),
    ("C/C_0001.png", "C/C_0003.png", True),
    ("A_B/A_B_0001.png", "D/D_0002.png", False),
    ("C/C_0002.png", "E/E_0003.png", False),
]
LFW_ROWS = "A_B 1 2\nC 1 3\nA_B 1 D 2\nC 2 E 3\n"
PATHS = "".join(f"{a} {b} {int(same)}\n" for a, b, same in EXPECTED)

FORMS = {
    "lfw": "1 2\n" + LFW_ROWS,
    "lfw with tabs": ("1 2\n" + LFW_ROWS).replace(" ", "\t"),
    "lfw dev": "2\n" + LFW_ROWS,
    "no header": LFW_ROWS,
    "kaggle": "name,imagenum1,imagenum2,\n"
    + "".join(
        ",".join(row.split()) + ("," if row.count(" ") == 2 else "") + "\n" for row in LFW_ROWS.splitlines()
    ),
    "path path label": PATHS,
    "label -1": PATHS.replace(" 0\n", " -1\n"),
    "label first": "".join(
        f"{row.split()[2]} {row.split()[0]} {row.split()[1]}\n" for row in PATHS.splitlines()
    ),
    "commas": PATHS.replace(" ", ","),
    "other ending": PATHS.replace(".png", ".jpg"),
    "no ending": PATHS.replace(".png", ""),
    "bare names": "".join(
        " ".join(part.split("/")[-1] for part in row.split()) + "\n" for row in PATHS.splitlines()
    ),
    "longer paths": "".join(f"/data/lfw/{a} /data/lfw/{b} {int(s)}\n" for a, b, s in EXPECTED),
    "backslashes": PATHS.replace("/", "\\"),
    "two rows a pair": "".join(f"{a} {int(s)}\n{b} {int(s)}\n" for a, b, s in EXPECTED),
    "table": "left,right,same\n" + PATHS.replace(" ", ","),
    "bfw": "fold,p1,p2,label,id1,id2\n"
    + "".join(f"1,{a},{b},{int(s)},{a.split('/')[0]},{b.split('/')[0]}\n" for a, b, s in EXPECTED),
    "semicolons": "img_a;img_b;is_same\n" + PATHS.replace(" ", ";"),
    "index": "0,"
    + "".join(f"{a},{b},{int(s)}\n{k + 1}," for k, (a, b, s) in enumerate(EXPECTED)).removesuffix("4,"),
    "comments": "# pairs\n" + PATHS,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_form_says_the_same_pairs(tmp_path, form, coding):
    root = lay_out(tmp_path / "set", pictures())
    (tmp_path / "list.txt").write_bytes(FORMS[form].encode(coding))
    faces = open_faces(root, pairs=tmp_path / "list.txt")
    assert pairs_of(faces) == EXPECTED
    assert faces.identified
    assert len(faces) == len(PEOPLE) * EACH
    same = faces.subjects[faces.pairs.left] == faces.subjects[faces.pairs.right]
    assert same.tolist() == faces.pairs.same.tolist()


def test_a_packed_list_is_read(tmp_path):
    root = lay_out(tmp_path / "set", pictures())
    (tmp_path / "list.txt.gz").write_bytes(gzip.compress(PATHS.encode()))
    assert pairs_of(open_faces(root, pairs=tmp_path / "list.txt.gz")) == EXPECTED


@pytest.mark.parametrize(
    "template",
    [
        "{person}/{person}_{number:04d}.png",
        "x/y/{person}/{person}_{number:04d}.png",
        "{person}/{person}_{number:04d}_0.png",
        "{person}/{number}.png",
        "{person}/{number:04d}.png",
        "all/{person}_{number:04d}.png",
        "{person}_{number}.png",
    ],
)
def test_a_person_and_a_number_are_found_however_the_files_are_called(tmp_path, template):
    files = pictures(template)
    faces = open_faces(pack(tmp_path / "s.zip", {**files, "pairs.txt": LFW_ROWS}))
    wanted = [
        tuple(template.format(person=name.split("/")[0], number=int(name[-8:-4])) for name in pair[:2])
        for pair in EXPECTED
    ]
    assert [pair[:2] for pair in pairs_of(faces)] == wanted
    assert faces.identified
    assert [pair[2] for pair in pairs_of(faces)] == [True, True, False, False]
    # LFW's own list says who is in the set: others are counted.
    assert len(faces) == 7
    assert faces.left_out == {"pictures that no list of the set names": 5}


def test_a_second_face_of_one_picture_is_not_taken_for_it(tmp_path):
    files = pictures("{person}/{person}_{number:04d}_0.png")
    files["A_B/A_B_0001_1.png"] = picture(200)
    faces = open_faces(lay_out(tmp_path, {**files, "pairs.txt": LFW_ROWS}))
    assert "A_B/A_B_0001_0.png" in faces.ids
    assert "A_B/A_B_0001_1.png" not in faces.ids


def test_pairs_in_a_set_of_unknown_people_tell_who_is_linked(tmp_path):
    files = {f"images/{k}.png": picture(20 * k) for k in range(8)}
    rows = "0.png 1\n1.png 1\n1.png 1\n2.png 1\n3.png 0\n4.png 0\n0.png 0\n5.png 0\n"
    faces = open_faces(lay_out(tmp_path, {**files, "pairs_CPLFW.txt": rows}))
    assert not faces.identified
    assert len(faces.pairs) == 4
    people = faces.subjects.tolist()
    assert people[0] == people[1] == people[2]
    assert len(set(people)) == 6
    assert "pairs: pairs_CPLFW.txt" in faces.notes


def test_one_list_a_group_is_one_protocol_with_groups(tmp_path):
    files = {
        f"data/{race}/{race}{k}/{race}{k}_000{n}.png": picture(30 * k + n)
        for race in ("Asian", "African")
        for k in range(3)
        for n in (1, 2)
    }
    for race in ("Asian", "African"):
        files[f"txts/{race}/{race}_pairs.txt"] = (
            f"{race}0\t1\t2\n{race}1\t1\t2\n{race}0\t1\t{race}1\t1\n{race}1\t2\t{race}2\t1\n"
        )
    faces = open_faces(lay_out(tmp_path, files))
    assert len(faces.pairs) == 8
    assert faces.pairs.same.sum() == 4
    assert len(np.unique(faces.subjects)) == 6
    expected = ["African" if "African" in one else "Asian" for one in faces.ids]
    assert faces.attributes["race"].tolist() == expected
    assert not faces.left_out


def test_lists_that_are_not_used_are_named(tmp_path):
    files = {**pictures(), "pairs.txt": LFW_ROWS, "pairsDevTest.txt": LFW_ROWS, "people.txt": "4\n"}
    faces = open_faces(lay_out(tmp_path / "a", files))
    assert any("pairsDevTest.txt" in note and "--pairs" in note for note in faces.notes)
    assert faces.left_out["files that are no pictures (2 .txt)"] == 2
    foreign = {**pictures(), "their_pairs.txt": "X 1 2\nY 1 Z 1\n"}
    faces = open_faces(lay_out(tmp_path / "b", foreign))
    assert faces.pairs is None
    assert any("their_pairs.txt" in note and "2 of 2 pairs that are not here" in note for note in faces.notes)
    given = open_faces(tmp_path / "a", pairs=tmp_path / "a/pairsDevTest.txt")
    assert len(given.pairs) == 4


def test_a_file_that_is_plainly_called_pairs_goes_before_others(tmp_path):
    rows = "".join(",".join(row.split()) + "\n" for row in LFW_ROWS.splitlines() if row.count(" ") == 2)
    files = {**pictures("lfw/lfw/{person}/{person}_{number:04d}.png"), "pairs.csv": FORMS["kaggle"]}
    files["matchpairsDevTest.csv"] = "name,imagenum1,imagenum2\n" + rows
    faces = open_faces(lay_out(tmp_path, files))
    assert len(faces.pairs) == 4
    assert "pairs: pairs.csv" in faces.notes
    assert any("matchpairsDevTest.csv (one of several)" in note for note in faces.notes)


def test_templates_of_several_pictures_are_not_taken_for_pairs(tmp_path):
    files = {f"loose_crop/{k}.jpg": picture(20 * k, format="JPEG") for k in range(1, 7)}
    files["meta/ijbc_face_tid_mid.txt"] = "".join(f"{k}.jpg {(k - 1) // 2} {k}\n" for k in range(1, 7))
    files["meta/ijbc_template_pair_label.txt"] = "0 1 1\n1 2 0\n"
    faces = open_faces(lay_out(tmp_path / "s", files))
    assert faces.pairs is None
    assert any("templates of several pictures: --dataset ijbc:FOLDER" in note for note in faces.notes)
    with pytest.raises(DataError, match="pairs of IJB's templates, not of pictures"):
        open_faces(tmp_path / "s", pairs=tmp_path / "s/meta/ijbc_template_pair_label.txt")


def test_rows_that_repeat_count_once_and_contradictions_are_refused(tmp_path):
    root = lay_out(tmp_path / "set", pictures())
    listed = tmp_path / "list.txt"
    a, b, _ = EXPECTED[0]
    listed.write_text(PATHS + f"{b} {a} 1\n")
    faces = open_faces(root, pairs=listed)
    assert pairs_of(faces) == EXPECTED
    assert faces.left_out["pairs that the list repeats"] == 1
    listed.write_text(f"left,right,same,fold\n{a},{b},1,0\n{b},{a},1,0\n{a},D/D_0001.png,0,0\n")
    faces = open_faces(root, pairs=listed)
    assert len(faces.pairs) == 2
    assert faces.left_out["pairs that the list repeats"] == 1
    listed.write_text(f"left,right,same\n{a},{b},1\n{b},{a},0\n")
    with pytest.raises(DataError, match=r"line 3: an earlier row says the same person"):
        open_faces(root, pairs=listed)
    listed.write_text(f"left,right,same\n{a},D/D_0001.png,1\n{a},{b},1\n")
    with pytest.raises(DataError, match=r"line 2: the list says the same person, the set 'A_B' and 'D'"):
        open_faces(root, pairs=listed)


def test_a_picture_that_is_not_there_is_a_failure_to_acquire(tmp_path):
    files = pictures()
    del files["C/C_0003.png"]
    root = lay_out(tmp_path / "set", files)
    (tmp_path / "list.txt").write_text(PATHS)
    faces = open_faces(root, pairs=tmp_path / "list.txt")
    assert pairs_of(faces) == EXPECTED
    with pytest.raises(DataError, match=MISSING):
        faces.read(faces.ids.index("C/C_0003.png"))
    place = faces.ids.index
    assert faces.subjects[place("C/C_0003.png")] == faces.subjects[place("C/C_0001.png")]


def test_a_list_never_opens_what_lies_outside_the_set(tmp_path):
    lay_out(tmp_path, {"secret.png": picture(99)})
    root = lay_out(tmp_path / "set", pictures())
    outside = f"{PATHS}A_B/A_B_0003.png ../secret.png 0\nA_B/A_B_0003.png {tmp_path}/secret.png 0\n"
    (tmp_path / "list.txt").write_text(outside)
    faces = open_faces(root, pairs=tmp_path / "list.txt")
    assert len(faces) == len(PEOPLE) * EACH + 2
    for i in range(len(PEOPLE) * EACH, len(faces)):
        with pytest.raises(DataError, match=MISSING):
            faces.read(i)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a b c d e\nf g h i j\n", "no known form of pairs"),
        ("a.png 1\nb.png 0\n", "two rows a pair"),
        ("a.png 1\n", "two a pair"),
        ("a.png b.png maybe\n", "no known form"),
        ("left,right,same\na,b,maybe\n", "line 2: `same` is 'maybe'"),
    ],
)
def test_what_is_no_list_of_pairs_says_so(text, said):
    with pytest.raises(DataError, match=said):
        read_named_pairs(text.encode(), "list.txt")


def test_folds_follow_blocks_or_cut_each_kind():
    blocks = np.tile([True, True, True, False, False, False], 3)
    assert drawn_folds(blocks).tolist() == [0] * 6 + [1] * 6 + [2] * 6
    sorted_kinds = np.repeat([True, False], 40)
    fold = drawn_folds(sorted_kinds)
    assert [int((fold[:40] == k).sum()) for k in range(10)] == [4] * 10
    assert [int((fold[40:] == k).sum()) for k in range(10)] == [4] * 10
    assert drawn_folds(np.array([True, True, False])).tolist() == [0, 0, 0]


def test_calfw_numbers_its_folds():
    rows = "".join(f"{name}.jpg {label}\n" for label in (1, 0, 2, 0) for name in (f"a{label}", "b"))
    found = read_named_pairs(rows.encode(), "pairs_CALFW.txt")
    assert found.same.tolist() == [True, False, True, False]
    assert found.fold.tolist() == [0, 0, 1, 1]
