"""Readers on small generated folders, zips, tables and pickles."""

import zipfile

import numpy as np
import pytest

from fraudit.errors import DataError, UsageError
from fraudit.faces.members import MISSING
from fraudit.faces.sources import open_faces, take
from tests.fixtures.picture_files import lay_out, pack, picture, shade_of

PEOPLE = {
    "ann/1.png": picture(10),
    "ann/2.png": picture(20),
    "bob/1.png": picture(30),
    "bob/notes.txt": b"no picture",
    "bob/.hidden.png": b"",
}


@pytest.mark.parametrize("packed", [False, True])
def test_a_folder_per_person_folder_or_zip(tmp_path, packed):
    path = pack(tmp_path / "team.zip", PEOPLE) if packed else lay_out(tmp_path / "team", PEOPLE)
    faces = open_faces(path)
    assert faces.name == "team"
    assert faces.ids == ("ann/1.png", "ann/2.png", "bob/1.png")
    assert faces.subjects.tolist() == [0, 0, 1]
    assert faces.identified
    assert [shade_of(faces, i) for i in range(3)] == [10, 20, 30]
    assert faces.read(0).shape == (5, 6, 3)


def test_a_picture_outside_the_person_folders_is_not_guessed(tmp_path):
    lay_out(tmp_path, {"ann/1.png": picture(), "stray.png": picture()})
    with pytest.raises(DataError, match=r"stray\.png"):
        open_faces(tmp_path)


def test_a_plain_folder_identifies_nobody(tmp_path):
    lay_out(tmp_path / "p", {"a.png": picture(1), "b.webp": picture(2, format="WEBP")})
    faces = open_faces(tmp_path / "p")
    assert not faces.identified
    assert len(set(faces.subjects.tolist())) == 2
    assert faces.notes[-1].startswith("nothing says who is shown: one folder a person does")
    assert not open_faces(lay_out(tmp_path / "team", PEOPLE)).notes


def test_one_person_is_told_by_kind(tmp_path):
    lay_out(tmp_path, {"ann/1.png": picture(), "ann/2.png": picture()})
    assert not open_faces(tmp_path).identified
    faces = open_faces(tmp_path, kind="people")
    assert faces.identified
    assert faces.subjects.tolist() == [0, 0]


def test_the_digest_follows_content_and_labels_not_place(tmp_path):
    first = open_faces(lay_out(tmp_path / "x", PEOPLE)).digest
    assert open_faces(lay_out(tmp_path / "y", PEOPLE)).digest == first
    other = open_faces(lay_out(tmp_path / "z", {**PEOPLE, "ann/1.png": picture(11)})).digest
    moved = {("cid/1.png" if name == "bob/1.png" else name): data for name, data in PEOPLE.items()}
    assert len({first, other, open_faces(lay_out(tmp_path / "w", moved)).digest}) == 3
    # Changed in place, same size: the remembered hash must not be believed.
    path = tmp_path / "x" / "ann/1.png"
    path.write_bytes(picture(12))
    assert open_faces(tmp_path / "x").digest != first


def test_zip_digest_follows_content(tmp_path):
    first = open_faces(pack(tmp_path / "a.zip", PEOPLE)).digest
    assert open_faces(pack(tmp_path / "b.zip", PEOPLE)).digest == first
    assert open_faces(pack(tmp_path / "c.zip", {**PEOPLE, "ann/1.png": picture(11)})).digest != first


def test_a_damaged_zip_member_is_a_reason_and_not_a_crash(tmp_path):
    path = pack(tmp_path / "a.zip", PEOPLE)
    data = bytearray(path.read_bytes())
    place = data.find(picture(20))
    data[place + 30] ^= 0xFF
    path.write_bytes(data)
    faces = open_faces(path)
    assert shade_of(faces, 0) == 10
    with pytest.raises(DataError, match="unreadable file"):
        faces.read(1)


def test_a_zip_member_that_unpacks_too_large_is_refused(tmp_path, monkeypatch):
    from fraudit.faces.members import ZipMembers

    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", b"\0" * 1_000_000)
    with pytest.raises(DataError, match="file larger than"):
        ZipMembers(path).read("a.png", 999_999)
    assert len(ZipMembers(path).read("a.png", 1_000_000)) == 1_000_000


def test_names_that_try_to_leave_a_zip_are_only_ids(tmp_path):
    faces = open_faces(pack(tmp_path / "a.zip", {"../../x/1.png": picture(5), "/etc/1.png": picture(6)}))
    assert sorted(shade_of(faces, i) for i in range(2)) == [5, 6]
    assert not (tmp_path.parent / "x").exists()


def test_no_zip_no_folder_no_picture(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK not really")
    with pytest.raises(DataError, match="neither a folder nor a zip"):
        open_faces(tmp_path / "a.zip")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no picture"):
        open_faces(tmp_path / "empty")
    with pytest.raises(DataError, match="no such file"):
        open_faces(tmp_path / "nowhere.zip")


def test_a_mistyped_name_gets_a_suggestion():
    with pytest.raises(UsageError) as caught:
        open_faces("utkfaec")
    assert "did you mean 'utkface'?" in caught.value.hint


def test_a_known_set_that_is_not_here_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("FRAUDIT_DATA", str(tmp_path))
    with pytest.raises(DataError) as caught:
        open_faces("lfw")
    assert str(tmp_path) in caught.value.message
    assert "vis-www.cs.umass.edu" in caught.value.hint


def test_a_folder_named_like_a_known_set_is_told_how_to_be_passed(tmp_path, monkeypatch):
    monkeypatch.setenv("FRAUDIT_DATA", str(tmp_path / "nothing"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as without:
        open_faces("lfw")
    assert "--dataset" not in without.value.hint
    lay_out(tmp_path / "lfw", PEOPLE)
    with pytest.raises(DataError) as error:
        open_faces("lfw")
    assert error.value.hint.startswith("the folder of that name here is --dataset ./lfw; else http")
    assert len(open_faces("./lfw")) == 3


def test_unknown_options_are_refused(tmp_path):
    with pytest.raises(UsageError, match="everythin"):
        open_faces(tmp_path, everythin=True)
    lay_out(tmp_path, {"a.png": picture()})
    with pytest.raises(UsageError, match="peeple"):
        open_faces(tmp_path, kind="peeple")


# -- LFW

LFW = {
    f"lfw/{person}/{person}_{number:04d}.jpg": picture(10 * number, format="JPEG")
    for person, number in [("A_B", 1), ("A_B", 2), ("C", 1), ("D", 1), ("D", 3)]
}
PAIRS = "2\t1\nA_B\t1\t2\nA_B\t1\tC\t1\nD\t1\t3\nD\t1\tC\t1\n"


def test_lfw_pairs_point_at_the_right_pictures(tmp_path):
    faces = open_faces(pack(tmp_path / "a.zip", {**LFW, "pairs.txt": PAIRS}))
    pairs = [
        (faces.ids[left][-12:], faces.ids[right][-12:])
        for left, right in zip(faces.pairs.left, faces.pairs.right, strict=True)
    ]
    assert pairs[1] == ("A_B_0001.jpg", "C/C_0001.jpg")
    assert pairs[2] == ("D/D_0001.jpg", "D/D_0003.jpg")
    assert faces.pairs.same.tolist() == [True, False, True, False]
    assert faces.pairs.fold.tolist() == [0, 0, 1, 1]
    same = faces.subjects[faces.pairs.left] == faces.subjects[faces.pairs.right]
    assert same.tolist() == faces.pairs.same.tolist()


def test_lfw_keeps_unpaired_pictures_only_when_asked(tmp_path):
    root = lay_out(tmp_path, {**LFW, "lfw/E/E_0001.jpg": picture(format="JPEG"), "pairs.txt": PAIRS})
    assert len(open_faces(root)) == 5
    assert len(open_faces(root, everything=True)) == 6


def test_a_missing_lfw_picture_is_a_failure_to_acquire(tmp_path):
    files = {name: data for name, data in LFW.items() if "D_0003" not in name}
    faces = open_faces(lay_out(tmp_path, {**files, "pairs.txt": PAIRS}))
    assert len(faces) == 5
    with pytest.raises(DataError, match=MISSING):
        faces.read(faces.ids.index("D/D_0003.jpg"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no pair in it"),
        ("ten\n", "no known form of pairs"),
        ("2\t1\nA_B\t1\t2\n", "announces 4 pairs, found 1"),
        ("1\t1\nA_B\t1\t2\nA_B\t1\n", "pair 2"),
        ("1\t1\nA_B\tone\t2\nA_B\t1\tC\t1\n", "pair 1"),
        ("1\t1\nX\t1\t2\nY\t1\tZ\t1\n", "4 of the 4 pictures"),
    ],
)
def test_bad_pairs_files_say_what_is_wrong(tmp_path, text, said):
    with pytest.raises(DataError, match=said):
        open_faces(lay_out(tmp_path, {**LFW, "pairs.txt": text}))


# -- CelebA, UTKFace


def test_celeba_csv(tmp_path):
    files = {"celeba/1.jpg": picture(format="JPEG"), "celeba/2.jpg": picture(format="JPEG")}
    files["attributes.csv"] = "file,identity,Male,Young\n1.jpg,7,1,0\n2.jpg,9,0,1\n"
    faces = open_faces(pack(tmp_path / "c.zip", files))
    assert faces.ids == ("celeba/1.jpg", "celeba/2.jpg")
    assert faces.attributes["Male"].tolist() == [1, 0]
    assert faces.identified
    assert faces.landmarks is None


def test_celeba_official_files(tmp_path):
    files = {f"img_align_celeba/00000{k}.jpg": picture(k, format="JPEG") for k in (1, 2, 3)}
    files["identity_CelebA.txt"] = "000001.jpg 2880\n000002.jpg 2937\n000003.jpg 2880\n"
    files["list_attr_celeba.txt"] = "3\nMale Young \n000001.jpg -1  1\n000002.jpg  1 -1\n000003.jpg -1 -1\n"
    files["list_landmarks_align_celeba.txt"] = (
        "3\nlefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y rightmouth_x rightmouth_y\n"
        "000001.jpg 69 109 106 113 77 142 73 152 108 154\n000002.jpg 69 110 107 112 81 135 70 151 108 153\n"
    )
    faces = open_faces(lay_out(tmp_path / "CelebA", files))
    assert faces.subjects.tolist() == [0, 1, 0]
    assert faces.attributes["Male"].tolist() == [0, 1, 0]
    assert faces.attributes["Young"].tolist() == [1, 0, 0]
    assert faces.landmarks[0].tolist() == [[69, 109], [106, 113], [77, 142], [73, 152], [108, 154]]
    assert np.isnan(faces.landmarks[2]).all()


def test_utkface_csv_and_age_groups(tmp_path):
    files = {f"utkface/{k}.webp": picture(k, format="WEBP") for k in range(6)}
    ages = ["0", "12", "13", "64", "65", ""]
    rows = [f"{k}.webp,{age},female,asian" for k, age in enumerate(ages)]
    files["attributes.csv"] = "file,age,gender,race\n" + "\n".join(rows) + "\n"
    faces = open_faces(pack(tmp_path / "u.zip", files))
    assert faces.attributes["age_group"].tolist() == ["0-12", "0-12", "13-19", "50-64", "65+", ""]
    assert np.isnan(faces.attributes["age"][5])
    assert not faces.identified


def test_utkface_official_names(tmp_path):
    names = [
        "26_1_2_20170116174525125.jpg.chip.jpg",
        "61_0_4_20170109150557335.jpg.chip.jpg",
        "39_1_20170116174525125.jpg.chip.jpg",
        "5_0_0_20170109150557336.jpg",
    ]
    faces = open_faces(lay_out(tmp_path / "u", {name: picture(format="JPEG") for name in names}))
    found = {
        one: tuple(faces.attributes[a][i] for a in ("age", "gender", "race"))
        for i, one in enumerate(faces.ids)
    }
    assert [found[name] for name in names] == [
        (26, "female", "asian"),
        (61, "male", "other"),
        (39, "female", ""),
        (5, "male", "white"),
    ]


# -- manifests


def manifest(tmp_path, text, name="manifest.csv"):
    lay_out(tmp_path, {"p/a.png": picture(1), "p/b.png": picture(2), name: text})
    return open_faces(tmp_path / name)


def test_manifest_with_attributes_of_both_kinds(tmp_path):
    faces = manifest(
        tmp_path, "path,subject,age,mood\np/a.png,ann,31.5,=1+1\np/b.png,bob,,<b>sad</b>\np/c.png,ann,nan,\n"
    )
    assert faces.ids == ("p/a.png", "p/b.png", "p/c.png")
    assert faces.subjects.tolist() == [0, 1, 0]
    assert faces.attributes["age"][0] == 31.5
    assert np.isnan(faces.attributes["age"][1:]).all()
    assert faces.attributes["mood"].tolist() == ["=1+1", "<b>sad</b>", ""]
    assert shade_of(faces, 1) == 2
    with pytest.raises(DataError, match=MISSING):
        faces.read(2)


def test_manifest_landmarks(tmp_path):
    columns = "le_x,le_y,re_x,re_y,nose_x,nose_y,ml_x,ml_y,mr_x,mr_y"
    faces = manifest(
        tmp_path, f"path,subject,{columns}\np/a.png,1,1,2,3,4,5,6,7,8,9,10\np/b.png,2{',' * 10}\n"
    )
    assert faces.landmarks[0].tolist() == [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10]]
    assert np.isnan(faces.landmarks[1]).all()
    assert faces.attributes == {}


def test_manifest_inside_a_zip_and_beside_windows_paths(tmp_path):
    files = {"set/manifest.csv": "\ufeffpath,subject\npics\\a.png,x\n", "set/pics/a.png": picture(9)}
    faces = open_faces(pack(tmp_path / "m.zip", files))
    assert shade_of(faces, 0) == 9


def test_manifest_as_parquet_equals_csv(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    faces = manifest(tmp_path, "path,subject,age,ok\np/a.png,1,3,1\np/b.png,2,,0\n")
    table = pa.table(
        {"path": ["p/a.png", "p/b.png"], "subject": [1, 2], "age": [3, None], "ok": [True, False]}
    )
    pq.write_table(table, tmp_path / "m.parquet")
    other = open_faces(tmp_path / "m.parquet")
    assert other.digest == faces.digest
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match="Parquet"):
        open_faces(tmp_path / "bad.parquet")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("where,subject\np/a.png,1\n", "column 'path' is missing"),
        ("path,who\np/a.png,1\n", "column 'subject' is missing"),
        ("path,subject\n", "no row"),
        ("", "header"),
        ("path,subject,path\na,b,c\n", "'path' appears twice"),
        ("path,subject\np/a.png,1,2\n", "line 2: expected 2 fields, found 3"),
        ("path,subject\np/a.png,1\np/./a.png,1\n", "'p/a.png' twice"),
        ("path,subject\n../x.png,1\n", "not inside"),
        ("path,subject\np/../../x.png,1\n", "not inside"),
        ("path,subject\n/etc/passwd,1\n", "not inside"),
        ("path,subject\nC:\\x.png,1\n", "not inside"),
        ("path,subject\n,1\n", "not inside"),
        ("path,subject\np/a.png,1\np/b.png,\n", "row 2: the subject is empty"),
        ("path,subject,le_x\np/a.png,1,3\n", "'le_y' is missing"),
        ('path,subject\n"p/a.png,1\n', "line"),
        (b"path,subject\np/\xff.png,1\n", "UTF-8"),
    ],
)
def test_bad_manifests_say_what_is_wrong(tmp_path, text, said):
    with pytest.raises(DataError, match=said):
        manifest(tmp_path, text)


def test_manifest_without_any_subject_identifies_nobody(tmp_path):
    faces = manifest(tmp_path, "path,subject\np/a.png,\np/b.png,\n")
    assert not faces.identified
    assert faces.subjects.tolist() == [0, 1]


def test_pairs_table_joins_any_set(tmp_path):
    root = lay_out(tmp_path / "t", PEOPLE)
    table = tmp_path / "pairs.csv"
    table.write_text("left,right,same,fold\nann/1.png,ann/2.png,1,3\nann/1.png,bob/1.png,0,7\n")
    plain, faces = open_faces(root), open_faces(root, pairs=table)
    assert faces.pairs.left.tolist() == [0, 0]
    assert faces.pairs.right.tolist() == [1, 2]
    assert faces.pairs.same.tolist() == [True, False]
    assert faces.pairs.fold.tolist() == [0, 1]
    assert faces.digest != plain.digest
    for bad, said in (("left,right,same\nx,y,1\n", "2 of the 2 pictures"), ("left,right\n", "'same'")):
        table.write_text(bad)
        with pytest.raises(DataError, match=said):
            open_faces(root, pairs=table)


def test_a_part_of_a_set_keeps_its_pairs(tmp_path):
    faces = open_faces(pack(tmp_path / "a.zip", {**LFW, "pairs.txt": PAIRS}))
    part = take(faces, [4, 3, 2])
    assert part.ids == tuple(faces.ids[i] for i in (4, 3, 2))
    assert part.read_bytes(0) == faces.read_bytes(4)
    assert part.pairs.same.tolist() == [True, False]
    assert [part.ids[i] for i in part.pairs.left] == ["lfw/D/D_0001.jpg"] * 2
    assert part.digest != faces.digest
    with pytest.raises(DataError):
        take(faces, [1, 1])


# -- real data


def test_real_lfw(shared_data, monkeypatch):
    monkeypatch.setenv("FRAUDIT_DATA", str(shared_data))
    faces = open_faces("lfw")
    assert len(faces) == 7701
    assert len(faces.pairs) == 6000
    assert np.bincount(faces.pairs.fold).tolist() == [600] * 10
    assert faces.pairs.same.sum() == 3000
    same = faces.subjects[faces.pairs.left] == faces.subjects[faces.pairs.right]
    assert (same == faces.pairs.same).all()
    assert faces.read(0).shape == (250, 250, 3)
    assert not faces.synthetic


def test_real_celeba_and_utkface(shared_data, monkeypatch):
    monkeypatch.setenv("FRAUDIT_DATA", str(shared_data))
    celeba, utkface = open_faces("celeba"), open_faces("utkface")
    assert (len(celeba), len(np.unique(celeba.subjects)), len(celeba.attributes)) == (10000, 5429, 40)
    assert celeba.read(9999).shape == (109, 89, 3)
    assert (len(utkface), utkface.identified) == (23702, False)
    assert set(utkface.attributes["race"]) == {"white", "black", "asian", "indian", "other"}
    assert utkface.read(0).shape == (128, 128, 3)
