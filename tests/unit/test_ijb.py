"""IJB-B's and IJB-C's lists, a planted folder of noise, and manifests with templates."""

import io
import re
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from fraudit.errors import DataError, UsageError
from fraudit.faces.ijb_lists import (
    read_face_tid_mid,
    read_five_points,
    read_template_pairs,
    read_template_subjects,
)
from fraudit.faces.limiting import first_people
from fraudit.faces.sources import open_faces, take

from .test_faces_sources import lay_out, pack

HEADER = "TEMPLATE_ID,SUBJECT_ID,FILENAME,SIGHTING_ID,FACE_X,FACE_Y\n"
PEOPLE, PICTURES = 12, 4  # the first eight people are enrolled, four in each gallery


def noise(seed):
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (12, 10, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


@dataclass
class World:
    """A planted IJB-C: person p is subject 500 + p with templates 10 p + 1 (enrolled) and 10 p + 2 (a probe).

    The enrolled template has pictures 0 and 1 as one medium and picture 2 alone, the probe pictures 2 and 3: picture 2
    of every person is in both.
    """

    which: str = "ijbc"

    def __post_init__(self):
        crop = [[f"{p}_{k}.png" for k in range(PICTURES)] for p in range(PEOPLE)]
        faces = []
        for p in range(PEOPLE):
            one, other = 10 * p + 1, 10 * p + 2
            if p < 8:
                faces += [
                    f"{crop[p][0]} {one} {100 * p}",
                    f"{crop[p][1]} {one} {100 * p}",
                    f"{crop[p][2]} {one} {100 * p + 1}",
                ]
            faces += [f"{crop[p][2]} {other} {100 * p + 2}", f"{crop[p][3]} {other} {100 * p + 3}"]
        self.pairs = [
            (10 * p + 1, 10 * q + 2, int(p == q)) for p in range(8) for q in range(PEOPLE) if (p + q) % 2 == 0
        ]
        points = [
            " ".join([crop[p][k], *(f"{p + k + c / 10:.1f}" for c in range(10)), f"0.{90 + k}"])
            for p in range(PEOPLE)
            for k in range(PICTURES)
        ]
        parts = ("G1", "G2") if self.which == "ijbc" else ("S1", "S2")
        self.files = {
            f"loose_crop/{p}_{k}.png": noise(9 * p + k) for p in range(PEOPLE) for k in range(PICTURES)
        }
        for p in range(8, PEOPLE):  # people who are not enrolled have two pictures
            for k in (0, 1):
                del self.files[f"loose_crop/{crop[p][k]}"]
        meta = {
            "face_tid_mid.txt": "\n".join(faces) + "\n",
            "template_pair_label.txt": "".join(f"{a} {b} {same}\n" for a, b, same in self.pairs),
            "name_5pts_score.txt": "\n".join(points) + "\n",
            f"1N_gallery_{parts[0]}.csv": self.table(range(4), 1),
            f"1N_gallery_{parts[1]}.csv": self.table(range(4, 8), 1),
            "1N_probe_mixed.csv": self.table(range(PEOPLE), 2),
        }
        self.files |= {f"meta/{self.which}_{name}": text for name, text in meta.items()}

    def table(self, people, kind):
        rows = [f"{10 * p + kind},{500 + p},img/{p}{k}.jpg,{k},," for p in people for k in range(2)]
        return HEADER + "\n".join(rows) + "\n"

    def edit(self, name, old, new, count=1):
        key = f"meta/{self.which}_{name}"
        assert old in self.files[key]
        self.files[key] = self.files[key].replace(old, new, count)
        return self

    def drop(self, *names):
        for name in names:
            del self.files[f"meta/{self.which}_{name}"]
        return self

    def open(self, tmp_path, **options):
        return open_faces(f"{self.which}:{lay_out(tmp_path / 'set', self.files)}", **options)


def members_of(faces, name):
    """{(picture's name, medium)} of a template."""
    t = faces.templates
    at = t.names.index(name)
    return {
        (faces.ids[i].rpartition("/")[2], int(m))
        for i, m in zip(t.picture[t.template == at], t.medium[t.template == at], strict=True)
    }


@pytest.mark.parametrize("which", ["ijbc", "ijbb"])
def test_the_planted_folder_is_read_whole(tmp_path, which):
    world = World(which)
    faces = world.open(tmp_path)
    t = faces.templates
    assert (faces.name, len(faces), faces.identified) == (which, 8 * PICTURES + 4 * 2, True)
    assert len(t) == 8 + PEOPLE
    assert members_of(faces, "31") == {("3_0.png", 300), ("3_1.png", 300), ("3_2.png", 301)}
    assert members_of(faces, "32") == {("3_2.png", 302), ("3_3.png", 303)}
    parts = ("G1", "G2") if which == "ijbc" else ("S1", "S2")
    assert [[t.names[k] for k in t.galleries[part]] for part in parts] == [
        ["1", "11", "21", "31"],
        ["41", "51", "61", "71"],
    ]
    assert [t.names[k] for k in t.probes] == [str(10 * p + 2) for p in range(PEOPLE)]
    told = [
        (int(t.names[a]), int(t.names[b]), int(s))
        for a, b, s in zip(t.pairs.left, t.pairs.right, t.pairs.same, strict=True)
    ]
    assert told == world.pairs
    # who is shown: equal for both templates of a person, and the same numbers as the pictures'
    person = {name: int(s) for name, s in zip(t.names, t.subjects, strict=True)}
    assert len({person[str(10 * p + 2)] for p in range(PEOPLE)}) == PEOPLE
    assert all(person[str(10 * p + 1)] == person[str(10 * p + 2)] for p in range(8))
    assert (faces.subjects[t.picture] == t.subjects[t.template]).all()
    i = next(k for k, name in enumerate(faces.ids) if name.endswith("/5_2.png"))
    assert np.allclose(faces.landmarks[i].ravel(), [7 + c / 10 for c in range(10)], atol=1e-4)
    assert faces.attributes["detector_score"][i] == pytest.approx(0.92)
    assert faces.read(i).shape == (12, 10, 3)
    assert faces.left_out == {}


def test_a_zip_and_the_folder_above_both_sets_are_read_alike(tmp_path):
    files = {f"IJB_release/IJBC/{name}": data for name, data in World().files.items()}
    plain = World().open(tmp_path)
    for where in (pack(tmp_path / "ijb.zip", files), lay_out(tmp_path / "both", files)):
        faces = open_faces(f"ijbc:{where}")
        assert faces.templates.names == plain.templates.names
        assert (faces.templates.picture == plain.templates.picture).all()
        assert np.array_equal(faces.landmarks, plain.landmarks)


def test_lines_may_come_in_any_order(tmp_path):
    world = World()
    for name in ("name_5pts_score.txt", "face_tid_mid.txt"):
        lines = world.files[f"meta/ijbc_{name}"].splitlines()
        world.files[f"meta/ijbc_{name}"] = "\n".join(np.random.default_rng(3).permutation(lines)) + "\n"
    mixed, plain = world.open(tmp_path / "a"), World().open(tmp_path / "b")
    assert members_of(mixed, "31") == members_of(plain, "31")
    points = [dict(zip(f.ids, f.landmarks.tolist(), strict=True)) for f in (mixed, plain)]
    assert points[0] == points[1]


def test_without_the_1_to_n_lists_nobody_is_identified_and_genuine_pairs_link(tmp_path):
    csvs = ("1N_gallery_G1.csv", "1N_gallery_G2.csv", "1N_probe_mixed.csv")
    faces = World().drop(*csvs).open(tmp_path)
    t = faces.templates
    assert not faces.identified
    assert (t.galleries, t.probes) == ({}, None)
    assert len(np.unique(t.subjects)) == PEOPLE
    same = t.subjects[t.pairs.left] == t.subjects[t.pairs.right]
    assert (same == t.pairs.same).all()


def test_lists_that_are_not_there_are_done_without(tmp_path):
    faces = World().drop("name_5pts_score.txt", "template_pair_label.txt").open(tmp_path)
    assert faces.landmarks is None
    assert faces.attributes == {}
    assert faces.templates.pairs is None
    assert faces.identified


def test_the_digest_holds_the_protocol(tmp_path):
    plain = World().open(tmp_path / "a").digest
    assert World().open(tmp_path / "b").digest == plain
    for k, (name, old, new) in enumerate(
        [
            ("face_tid_mid.txt", "3_2.png 32 302", "3_2.png 32 303"),
            ("template_pair_label.txt", "1 2 1\n", "1 2 1\n1 32 0\n"),
            ("1N_probe_mixed.csv", "92,509,img/90.jpg,0,,\n92,509,img/91.jpg,1,,\n", ""),
        ]
    ):
        world = World().edit(name, old, new)
        if (
            "probe" in name
        ):  # the template stays known by the other lists only where it is linked: nobody is named
            faces = world.open(tmp_path / f"c{k}")
            assert not faces.identified
            assert any(note.startswith("1 of 20 templates are in no gallery") for note in faces.notes)
        assert world.open(tmp_path / f"c{k}").digest != plain


def test_a_few_missing_pictures_are_failures_to_acquire_and_told(tmp_path):
    world = World()
    del world.files["loose_crop/3_1.png"]
    faces = world.open(tmp_path)
    assert len(faces) == 8 * PICTURES + 4 * 2
    assert any("1 of the 40 pictures" in note and "loose_crop/3_1.png" in note for note in faces.notes)
    with pytest.raises(DataError, match="missing file"):
        faces.read(faces.ids.index("loose_crop/3_1.png"))


def test_a_list_cannot_lead_outside_of_the_set(tmp_path):
    (tmp_path / "secret.png").write_bytes(noise(1))
    faces = World().edit("face_tid_mid.txt", "3_1.png", "../../secret.png").open(tmp_path)
    assert not any(".." in name for name in faces.ids)
    with pytest.raises(DataError, match="missing file"):
        faces.read(faces.ids.index("loose_crop/secret.png"))


def without_pictures(world):
    for p in range(6):
        for k in range(PICTURES):
            del world.files[f"loose_crop/{p}_{k}.png"]
    return world


BAD = {
    "most pictures gone": (without_pictures, "24 of the 40 pictures that .* such as loose_crop/0_0.png"),
    "fields of the list of faces": (
        lambda w: w.edit("face_tid_mid.txt", "0_1.png 1 0", "0_1.png 1"),
        "line 2: expected 3 fields.*found 2",
    ),
    "ids that are words": (
        lambda w: w.edit("face_tid_mid.txt", "0_1.png 1 0", "0_1.png one 0"),
        "line 2: expected whole numbers",
    ),
    "fields of the points": (
        lambda w: w.edit("name_5pts_score.txt", " 0.90", ""),
        "line 1: expected 12 fields .*found 11",
    ),
    "points of no picture": (
        lambda w: w.edit("name_5pts_score.txt", ".png", ".bmp", 999),
        "names none of the 40 pictures, but '0_0.bmp'",
    ),
    "an unknown template in a pair": (
        lambda w: w.edit("template_pair_label.txt", "1 22 0\n", "1 22 0\n1 999 0\n888 2 0\n"),
        "2 of its 50 pairs name a template .*pair 3, template 999",
    ),
    "a pair with itself": (
        lambda w: w.edit("template_pair_label.txt", "1 22 0\n", "1 1 1\n"),
        "pair 2 compares template 1 with itself",
    ),
    "a label that is none": (
        lambda w: w.edit("template_pair_label.txt", "1 22 0\n", "1 22 2\n"),
        "pair 2: expected label 0 or 1, found 2",
    ),
    "fields of a pair": (
        lambda w: w.edit("template_pair_label.txt", "1 22 0\n", "1 22\n"),
        "line 2: expected 3 fields.*found 2",
    ),
    "labels of other people": (
        lambda w: w.edit("template_pair_label.txt", "1 22 0\n", "1 22 1\n"),
        "1 of 48 labels contradict .*pair 2, templates 1 and 22, labelled 1",
    ),
    "a person twice in a gallery": (
        lambda w: w.edit("1N_gallery_G1.csv", "11,501", "11,500", 2),
        "G1.csv: subject 500 is enrolled twice, with templates 1 and 11",
    ),
    "a template of two people": (
        lambda w: w.edit("1N_gallery_G1.csv", "11,501", "11,507"),
        "line 5: template 11 shows subject 501.*507",
    ),
    "a gallery of unknown templates": (
        lambda w: w.edit("1N_gallery_G1.csv", "11,501", "999,501", 2),
        "1 of its 4 templates are not in .* as 999",
    ),
    "a probe that is enrolled": (
        lambda w: w.edit("1N_probe_mixed.csv", "2,500", "1,500", 2),
        "1 of its templates are enrolled in gallery G1",
    ),
    "no search with a mate": (
        lambda w: w.edit("1N_probe_mixed.csv", ",50", ",60", 99),
        "none of its 12 people is enrolled in G1 or G2",
    ),
    "a picture of two people": (
        lambda w: w.edit("face_tid_mid.txt", "3_2.png 32", "3_2.png 42"),
        "holds a picture of subject 503",
    ),
    "fields of a gallery": (
        lambda w: w.edit("1N_gallery_G1.csv", "11,501,img/10.jpg,0,,", "11,501"),
        "line 4: expected 6 fields, found 2",
    ),
    "no header": (lambda w: w.edit("1N_gallery_G1.csv", HEADER, ""), "the column 'TEMPLATE_ID' is missing"),
    "an unnamed subject": (
        lambda w: w.edit("1N_gallery_G1.csv", "11,501", "11,"),
        "line 4: template 11 has no SUBJECT_ID",
    ),
    "no list of faces": (lambda w: w.drop("face_tid_mid.txt"), "ijbc_face_tid_mid.txt is not in it"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_clear_line(tmp_path, case):
    change, line = BAD[case]
    with pytest.raises(DataError) as error:
        change(World()).open(tmp_path)
    assert re.search(line, error.value.message), error.value.message
    assert "\n" not in error.value.message
    assert error.value.hint


def test_the_lists_of_the_other_set_and_nists_own_folder_say_what_to_pass(tmp_path):
    root = lay_out(tmp_path / "b", World("ijbb").files)
    with pytest.raises(DataError, match="these are the lists of ijbb"):
        open_faces(f"ijbc:{root}")
    root = lay_out(
        tmp_path / "nist", {"protocols/ijbc_1N_gallery_G1.csv": HEADER, "images/img/1.jpg": noise(1)}
    )
    with pytest.raises(DataError) as error:
        open_faces(f"ijbc:{root}")
    assert "whole pictures and boxes" in error.value.hint
    with pytest.raises(DataError, match="no such file or folder"):
        open_faces(f"ijbc:{tmp_path}/nowhere")
    with pytest.raises(UsageError, match="the set 'ijbc' needs its folder"):
        open_faces("ijbc")


def test_one_slip_of_a_label_among_many_is_told_and_not_refused(tmp_path):
    world = World()
    world.edit("template_pair_label.txt", "1 22 0\n", "1 22 1\n" + "1 2 1\n" * 200)
    faces = world.open(tmp_path)
    assert any("1 of 248 labels contradict" in note for note in faces.notes)
    assert faces.templates.pairs.same[1]


# -- lists


def test_lists_are_read_and_their_lines_checked():
    names, templates, media = read_face_tid_mid(b"img/1.jpg 1 10\nimg/2.jpg 1 11\n\nimg/3.jpg 2 12", "f")
    assert (names[2], templates.tolist(), media.tolist()) == ("img/3.jpg", [1, 1, 2], [10, 11, 12])
    for data in (b"1 2 0\n1 1 1\n", b"1\t2\t0\r\n\r\n1 1 1\r\n", "1 2 0\n1 1 1\n".encode("utf-16")):
        left, right, same = read_template_pairs(data, "p")
        assert (left.tolist(), right.tolist(), same.tolist()) == ([1, 1], [2, 1], [False, True])
    names, points, scores = read_five_points(b"a 1 2 3 4 5 6 7 8 9 10 0.5\n", "n")
    assert (names, points.ravel().tolist(), scores.tolist()) == (("a",), [*map(float, range(1, 11))], [0.5])
    for data in (b"", b"\n \n"):
        with pytest.raises(DataError, match="no line in it"):
            read_template_pairs(data, "p")
    _, points, _ = read_five_points(b"a nan 2 3 4 5 6 7 8 9 10 0\n", "n")
    assert np.isnan(points).all()
    for data in (b"1 2 0.5\n", b"1 2 yes\n", b"a b c\n", b"1 2 %d\n" % 10**30, b"1_0 2 1\n"):
        with pytest.raises(DataError, match="line 1: expected whole numbers"):
            read_template_pairs(data, "p")


def test_galleries_may_have_other_delimiters_and_quoted_cells():
    rows = {1: "500", 2: "501"}
    for text in (
        'TEMPLATE_ID,SUBJECT_ID,FILENAME\n1,500,"a,b.jpg"\n1,500,c.jpg\n2,501,d.jpg\n',
        "template_id;subject_id;filename\r\n1;500;a\r\n2;501;b\r\n",
        "SUBJECT_ID\tTEMPLATE_ID\n500\t1\n501\t2\n",
    ):
        assert read_template_subjects(text.encode(), "g") == rows


def test_damaged_lists_are_refused_in_one_line():
    rng, files = np.random.default_rng(0), World().files
    readers = {
        "face_tid_mid.txt": read_face_tid_mid,
        "template_pair_label.txt": read_template_pairs,
        "name_5pts_score.txt": read_five_points,
        "1N_gallery_G1.csv": read_template_subjects,
    }
    refused = []
    for name, read in readers.items():
        for _ in range(150):
            data = bytearray(files[f"meta/ijbc_{name}"].encode())
            for _ in range(rng.integers(1, 5)):
                at = int(rng.integers(0, len(data)))
                new = [bytes(rng.integers(0, 256, 3, np.uint8)), b"9" * 30, b" nan inf 1e400 ", b'"', b"\0"]
                data[at : at + int(rng.integers(0, 20))] = new[rng.integers(0, len(new))]
            try:
                read(bytes(data), "list")
            except DataError as error:
                refused.append(error.message)
    assert len(refused) > 300
    assert all(one.startswith("list") and "\n" not in one for one in refused)


# -- parts


def test_parts_keep_what_their_pictures_carry(tmp_path):
    faces = World().open(tmp_path)
    kept = [k for k, name in enumerate(faces.ids) if re.match(r"loose_crop/[04-9]", name)][::-1]
    t = take(faces, kept).templates
    part = take(faces, kept)
    assert (part.subjects[t.picture] == t.subjects[t.template]).all()
    assert members_of(part, "41") == members_of(faces, "41")
    assert [t.names[k] for k in t.galleries["G1"]] == ["1"]
    assert {t.names[k] for k in t.probes} >= {"2", "82", "92"}
    inside = [p for p in World().pairs if {p[0], p[1]} <= set(map(int, t.names))]
    assert [(int(t.names[a]), int(t.names[b])) for a, b in zip(t.pairs.left, t.pairs.right, strict=True)] == [
        p[:2] for p in inside
    ]
    alone = take(faces, [faces.ids.index("loose_crop/0_2.png"), faces.ids.index("loose_crop/3_3.png")])
    assert alone.templates.names == ("1", "2", "32")
    limited = first_people(faces, 12)
    assert len(limited.templates) < len(faces.templates)
    assert limited.left_out["pairs of templates beyond --limit"] == 48 - len(limited.templates.pairs)


# -- manifests


def a_manifest(tmp_path, text):
    files = {f"{name}.png": noise(k) for k, name in enumerate("abcdef")}
    return lay_out(tmp_path / "m", {**files, "manifest.csv": text})


def test_a_manifest_groups_pictures_into_templates(tmp_path):
    rows = (
        "path,subject,template,medium,glasses\na.png,ann,t1,v1,0\nb.png,ann,t1,v1,1\nc.png,ann,t1,,0\n"
        "c.png,ann,t2,,0\nd.png,ann,t2,,0\ne.png,bob,u1,v1,0\nf.png,bob,,,1\nf.png,bob,,,1\n"
    )
    faces = open_faces(a_manifest(tmp_path, rows))
    t = faces.templates
    assert (len(faces), t.names) == (6, ("t1", "t2", "u1"))
    assert sorted(faces.attributes) == ["glasses"]
    media = dict(members_of(faces, "t1"))
    assert media["a.png"] == media["b.png"] != media["c.png"]
    assert {name for name, _ in members_of(faces, "t2")} == {"c.png", "d.png"}
    assert len({m for _, m in members_of(faces, "t2")}) == 2
    assert t.subjects.tolist() == [0, 0, 1]
    assert (t.pairs, t.galleries, t.probes) == (None, {}, None)
    assert faces.left_out["rows that repeat another"] == 1


def test_templates_of_people_without_names_link_their_pictures(tmp_path):
    rows = "path,subject,template\na.png,,x\nb.png,,x\nb.png,,y\nc.png,,y\nd.png,,z\ne.png,,\n"
    faces = open_faces(a_manifest(tmp_path, rows))
    assert not faces.identified
    of = dict(zip(faces.ids, faces.subjects.tolist(), strict=True))
    assert of["a.png"] == of["b.png"] == of["c.png"]
    assert len(set(of.values())) == 3
    assert faces.templates.subjects.tolist() == [of["a.png"], of["a.png"], of["d.png"]]


def test_a_manifest_with_contradictory_templates_is_refused(tmp_path):
    rows = "path,subject,template\na.png,ann,x\nb.png,bob,x\n"
    with pytest.raises(DataError, match="template 'x' holds pictures of two people, 'ann' and 'bob'"):
        open_faces(a_manifest(tmp_path / "1", rows))
    rows = "path,subject,template,glasses\na.png,ann,x,0\na.png,ann,y,1\n"
    with pytest.raises(DataError, match=r"lists 'a\.png' twice"):
        open_faces(a_manifest(tmp_path / "2", rows))


def test_a_manifest_without_templates_is_as_before(tmp_path):
    plain = open_faces(a_manifest(tmp_path / "1", "path,subject,media\na.png,ann,tv\nb.png,bob,press\n"))
    assert plain.templates is None
    assert plain.attributes["media"].tolist() == ["tv", "press"]
    empty = open_faces(a_manifest(tmp_path / "2", "path,subject,template\na.png,ann,\nb.png,bob,\n"))
    assert empty.templates is None
