"""Which folder names the person, and what is passed over while looking."""

import os
import unicodedata
import zipfile

import numpy as np
import pytest

from fraudit.errors import DataError, UsageError
from fraudit.faces.layout import read_layout
from fraudit.faces.sources import open_faces
from tests.fixtures.picture_files import lay_out, pack, picture


def people(files, wanted=""):
    found = read_layout(files, "set", wanted)
    return found.people


def grid(upper, lower, each=2):
    return [f"{a}/{b}/{k}.png" for a in upper for b in lower for k in range(each)]


@pytest.mark.parametrize(
    ("upper", "lower", "person"),
    [
        (["001", "002", "003"], ["frontal", "profile"], 0),
        (["gallery", "probe"], ["p1", "p2", "p3"], 1),
        (["Gallery_Match", "Probe"], ["1", "2"], 1),
        (["train", "val", "test"], ["ann", "bob"], 1),
        (["ann", "bob"], ["session1", "session2", "session_3"], 0),
        (["n1", "n2"], ["visible", "thermal"], 0),
    ],
)
def test_parts_of_a_set_are_not_people(upper, lower, person):
    files = grid(upper, lower)
    found = read_layout([f"Data/Images/{file}" for file in files], "set")
    assert found.people == [file.split("/")[person] for file in files]
    assert len(found.notes) == 1


@pytest.mark.parametrize(
    ("upper", "lower"),
    [
        (["Ann_A", "Bob_B", "Cid_C"], ["0", "1"]),  # YouTube Faces, or families of numbered members
        (["one", "two"], ["001", "002", "003"]),
        (["train", "val"], ["0001", "0002"]),  # numbered by each part on its own, or not
    ],
)
def test_two_readings_are_refused_with_the_way_to_choose(upper, lower):
    files = grid(upper, lower)
    with pytest.raises(DataError) as caught:
        people(files)
    assert "--layout" in caught.value.hint
    assert len(set(people(files, "person/*"))) == len(upper)
    assert len(set(people(files, "*/person"))) == len(lower)
    assert len(set(people(files, "person/person"))) == len(upper) * len(lower)


def test_groups_above_people_are_attributes_and_numbers_start_again_in_each():
    files = grid(["asian_females", "white_males"], ["n1", "n2"])
    found = read_layout(files, "set")
    assert len(set(found.people)) == 4
    assert found.attributes["race"].tolist() == ["asian"] * 4 + ["white"] * 4
    assert found.attributes["gender"].tolist() == ["female"] * 4 + ["male"] * 4
    assert read_layout(grid(["Asian", "African"], ["x", "y"]), "set").attributes["race"][0] == "Asian"


@pytest.mark.parametrize(
    "files",
    [
        [f"{k // 1000 * 1000:05d}/{k:05d}.png" for k in (0, 1, 999, 1000, 1001, 2005)],
        [f"images1024x1024/{k // 100}/{k}.png" for k in range(0, 400, 7)],
        [f"part{k}/{name}.png" for k in (1, 2, 3) for name in "ab"],
    ],
)
def test_numbered_shards_are_not_people(files):
    found = read_layout(files, "set")
    assert found.people is None
    assert "shards" in found.notes[0]
    assert read_layout(files, "set", "person").people is not None


def test_numbered_people_are_no_shards():
    files = [f"{person:04d}/{k:03d}.png" for person in range(3) for k in range(4)]
    assert people(files) == [file[:4] for file in files]
    assert len(set(people([f"s{k}/{n}.pgm" for k in range(3) for n in range(2)]))) == 3


def test_folders_that_are_only_parts_of_a_set_are_refused():
    with pytest.raises(DataError, match="parts of a set, not people"):
        people(["Gallery_Match/1_1.jpg", "Probe/1_2.jpg"])
    assert people(["Gallery_Match/1_1.jpg", "Probe/1_2.jpg"], "none") is None
    for names in (("anger", "happy"), ("male", "female"), ("real", "fake"), ("with_mask", "without_mask")):
        with pytest.raises(DataError, match="parts of a set, not people"):
            people([f"{name}/{k}.jpg" for name in names for k in range(3)])


def test_parts_beside_people_are_refused():
    files = ["Training_Set/1/1_1.jpg", "Training_Set/2/2_1.jpg", "Testing_Set/Gallery_Match/3_1.jpg"]
    with pytest.raises(DataError, match="'Gallery_Match' is a part of a set, '1' beside it seems a person"):
        people([*files, "Testing_Set/Probe/3_2.jpg"])


def test_a_wrong_layout_is_refused():
    with pytest.raises(UsageError, match="unknown pattern"):
        people(["a/1.png"], "human")
    with pytest.raises(DataError, match="wants 2 folders"):
        people(["a/1.png"], "person/*")


def test_where_only_pictures_are_wanted_an_unclear_layout_identifies_nobody(tmp_path):
    root = lay_out(tmp_path, {f"{a}/{b}/1.png": picture(1) for a in ("Ann", "Bob") for b in "01"})
    with pytest.raises(DataError, match="may be the 2 upper folders"):
        open_faces(root)
    faces = open_faces(root, need_people=False)
    assert (len(faces), faces.identified) == (4, False)
    assert "nobody is identified" in faces.notes[0]


# -- what is passed over


def test_linked_people_are_followed_and_loops_are_not(tmp_path):
    root = lay_out(tmp_path / "set", {"ann/1.png": picture(1), "bob/1.png": picture(2)})
    lay_out(tmp_path / "store", {"cid/1.png": picture(3), "cid/2.png": picture(4)})
    os.symlink(tmp_path / "store/cid", root / "cid")
    os.symlink("ann", root / "again")  # in the set already
    os.symlink("..", root / "up")  # holds the set
    os.symlink(".", root / "ann/self")
    os.symlink("/nowhere/at/all", root / "gone")
    faces = open_faces(root)
    assert faces.ids == ("ann/1.png", "bob/1.png", "cid/1.png", "cid/2.png")
    assert len(np.unique(faces.subjects)) == 3
    assert int(faces.read(3)[0, 0, 0]) == 4
    assert faces.left_out == {
        "linked folders that are in the set already or hold it": 3,
        "links that lead nowhere": 1,
    }


def test_a_link_that_was_kept_as_a_file_is_followed(tmp_path):
    lay_out(tmp_path / "store", {"cid/1.png": picture(3)})
    root = lay_out(
        tmp_path / "set", {"ann/1.png": picture(1), "cid": b"../store/cid", "note": b"no such folder"}
    )
    faces = open_faces(root)
    assert faces.ids == ("ann/1.png", "cid/1.png")
    assert int(faces.read(1)[0, 0, 0]) == 3
    assert faces.left_out == {"files that are no pictures (1 no ending)": 1}


def test_pictures_of_any_ending_are_opened_and_the_rest_is_counted(tmp_path):
    files = {
        "ann/1.jfif": picture(50, format="JPEG"),
        "ann/2.jpe": picture(60, format="JPEG"),
        "ann/3": picture(70),
        "ann/subject01.glasses": picture(80, format="GIF"),
        "bob/1.pgm": b"P5\n2 1\n255\n\x07\xfa",
        "bob/2.HEIC": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
        "bob/notes.txt": b"text",
        "bob/unknown": b"text",
        "bob/.hidden.png": picture(1),
        "thumbnails/ann/1.png": picture(1),
        "@eaDir/ann/1.png": picture(1),
    }
    faces = open_faces(lay_out(tmp_path, files))
    assert set(faces.ids) == {
        "ann/1.jfif",
        "ann/2.jpe",
        "ann/3",
        "ann/subject01.glasses",
        "bob/1.pgm",
        "bob/2.HEIC",
    }
    assert faces.left_out == {
        "files in hidden folders or with hidden names": 2,
        "files in folders of thumbnails": 1,
        "files that are no pictures (1 .txt, 1 no ending)": 2,
    }
    assert int(faces.read(faces.ids.index("ann/3"))[0, 0, 0]) == 70


def test_a_zip_of_windows_and_one_with_a_password(tmp_path):
    faces = open_faces(pack(tmp_path / "a.zip", {"ann\\1.png": picture(1), "bob\\1.png": picture(2)}))
    assert faces.ids == ("ann/1.png", "bob/1.png")
    assert faces.identified
    path = pack(tmp_path / "b.zip", {"ann/1.png": picture(1)})
    data = bytearray(path.read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.find(mark) + place] |= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="is encrypted") as caught:
        open_faces(path)
    assert "unpack it" in caught.value.hint


def test_a_folder_of_insightface_names_the_files_to_pass(tmp_path):
    lay_out(tmp_path / "faces_emore", {"lfw.bin": b"x", "train.rec": b"x", "train.idx": b"x"})
    with pytest.raises(DataError, match=r"insightface's pairs in lfw\.bin"):
        open_faces(tmp_path / "faces_emore")
    with pytest.raises(DataError, match="training records are not read"):
        open_faces(tmp_path / "faces_emore/train.rec")


def test_composed_and_decomposed_names_meet(tmp_path):
    composed, apart = unicodedata.normalize("NFC", "Zoë"), unicodedata.normalize("NFD", "Zoë")
    assert composed != apart
    root = lay_out(
        tmp_path / "set",
        {f"{apart}/1.png": picture(1), f"{composed}/2.png": picture(2), "bob/1.png": picture(3)},
    )
    assert len(np.unique(open_faces(root).subjects)) == 2
    (root / "list.csv").write_text(f"path,subject\n{composed}/1.png,{composed}\n{composed}/2.png,{apart}\n")
    faces = open_faces(root / "list.csv")
    assert int(faces.read(0)[0, 0, 0]) == 1
    assert len(np.unique(faces.subjects)) == 1
    (root.parent / "pairs.csv").write_text(
        f"left,right,same\n{composed}/1.png,{composed}/2.png,1\n{apart}/1.png,bob/1.png,0\n"
    )
    assert len(open_faces(root, pairs=root.parent / "pairs.csv").pairs) == 2


# -- manifests as people have them

ROWS = [("p/a.png", "ann"), ("p/b.png", "bob")]


@pytest.mark.parametrize(
    "text",
    [
        "path,subject\np/a.png,ann\np/b.png,bob\n",
        ",path,subject\n0,p/a.png,ann\n1,p/b.png,bob\n",
        "path;subject\np/a.png;ann\np/b.png;bob\n",
        "Path,Subject\np/a.png,ann\np/b.png,bob\n",
        "image\tidentity\np/a.png\tann\np/b.png\tbob\n",
        "# made by hand\nfile,person\np/a.png,ann\np/b.png,bob\n",
        "p/a.png,ann\np/b.png,bob\n",
        "p/a.png ann\np/b.png bob\n",
        "path,subject\np/a.png,ann\np/b.png,bob\np/a.png,ann\n",
    ],
)
def test_manifests_of_every_kind_read_the_same(tmp_path, text):
    lay_out(tmp_path, {"p/a.png": picture(1), "p/b.png": picture(2), "m.csv": text})
    faces = open_faces(tmp_path / "m.csv")
    assert list(faces.ids) == [path for path, _ in ROWS]
    assert faces.subjects.tolist() == [0, 1]
    assert faces.attributes == {}
    assert faces.left_out == ({"rows that repeat another": 1} if text.count("p/a.png") == 2 else {})


def test_absolute_paths_below_the_manifest_are_read(tmp_path):
    lay_out(tmp_path, {"p/a.png": picture(1), "m.csv": f"path,subject\n{tmp_path}/p/a.png,ann\n"})
    assert open_faces(tmp_path / "m.csv").ids == ("p/a.png",)
    lay_out(tmp_path, {"m.csv": f"path,subject\n{tmp_path.parent}/x.png,ann\n"})
    with pytest.raises(DataError, match="not inside"):
        open_faces(tmp_path / "m.csv")


# -- CelebA as it is handed around


@pytest.mark.parametrize("identified", [True, False])
@pytest.mark.parametrize("ending", ["jpg", "png"])
@pytest.mark.parametrize("table", ["txt", "csv"])
def test_celeba_as_png_as_csv_and_without_identities(tmp_path, identified, ending, table):
    files = {f"img_align_celeba/00000{k}.{ending}": picture(k) for k in (1, 2, 3)}
    rows = [("000001.jpg", -1, 1), ("000002.jpg", 1, -1), ("000003.jpg", -1, -1)]
    if table == "txt":
        files["list_attr_celeba.txt"] = "3\nMale Young \n" + "".join(
            f"{n} {a:2d} {b:2d}\n" for n, a, b in rows
        )
    else:
        files["list_attr_celeba.csv"] = "image_id,Male,Young\n" + "".join(
            f"{n},{a},{b}\n" for n, a, b in rows
        )
    if identified:
        files["identity_CelebA.txt"] = "000001.jpg 2880\n000002.jpg 2937\n000003.jpg 2880\n"
    faces = open_faces(lay_out(tmp_path / "CelebA", files))
    assert faces.attributes["Male"].tolist() == [0, 1, 0]
    assert faces.identified == identified
    assert len(np.unique(faces.subjects)) == (2 if identified else 3)
    assert bool(faces.notes) != identified


def test_a_zip_that_links_and_nests_is_counted(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ann/1.png", picture(1))
        archive.writestr("bob/1.png", picture(2))
        archive.writestr("more.zip", b"PK")
        archive.writestr("__MACOSX/ann/._1.png", b"x")
    faces = open_faces(path)
    assert len(faces) == 2
    assert faces.left_out == {
        "files in hidden folders or with hidden names": 1,
        "files that are no pictures (1 .zip)": 1,
    }
