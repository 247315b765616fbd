"""One reader of tables: coding, packing, delimiter, numbers, header and flags."""

import bz2
import gzip
import io
import lzma
import math
import tarfile
import zipfile

import pytest

from fraudit.errors import DataError
from fraudit.faces import roles
from fraudit.faces.packed import unpack
from fraudit.faces.tables import (
    decode_text,
    read_flag,
    read_number,
    read_sheet,
    read_table,
    sheet_columns,
    without_index,
)

PLAIN = "left,right,same,score\na b,c,1,0.5\nd,e,0,-0.25\n"
EXPECTED = {"left": ["a b", "d"], "right": ["c", "e"], "same": ["1", "0"], "score": ["0.5", "-0.25"]}


def read(text, known=roles.KNOWN):
    return read_table(text if isinstance(text, bytes) else text.encode(), "t", known)


@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_text_of_every_coding_reads_the_same(coding):
    assert read(PLAIN.encode(coding)) == EXPECTED


def tar_of(names):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as pack:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(PLAIN)
            pack.addfile(info, io.BytesIO(PLAIN.encode()))
    return file.getvalue()


def zip_of(names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as pack:
        for name in names:
            pack.writestr(name, PLAIN)
    return file.getvalue()


@pytest.mark.parametrize(
    "packed",
    [
        gzip.compress(PLAIN.encode(), mtime=0),
        bz2.compress(PLAIN.encode()),
        lzma.compress(PLAIN.encode()),
        gzip.compress(tar_of(["a.csv"]), mtime=0),
        tar_of(["a.csv"]),
        zip_of(["a.csv"]),
    ],
)
def test_a_packed_table_is_unpacked(packed):
    assert read(packed) == EXPECTED


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (gzip.compress(PLAIN.encode(), mtime=0)[:-9], "packed, but damaged"),
        (tar_of(["a", "b"]), "found 2 files"),
        (zip_of(["a", "b"]), "found 2 files"),
        (zip_of(["xl/workbook.xml", "x"]), "an Excel workbook"),
        (b"\x00\x01\x02\x03" * 9, "a binary file"),
        (b"left,right\n\xe9,b\n", "not UTF-8 text"),
    ],
)
def test_what_cannot_be_read_says_so_without_raw_bytes(data, said):
    with pytest.raises(DataError, match=said) as caught:
        read(data)
    assert caught.value.message.isprintable()


def test_unpacking_stops_at_its_limit(monkeypatch):
    monkeypatch.setattr("fraudit.faces.packed.MAX_UNPACKED", 10_000)
    with pytest.raises(DataError, match="more than 1 GiB"):
        unpack(gzip.compress(b"0" * 10_000_000), "t")


@pytest.mark.parametrize("mark", [",", ";", "\t", "|", " ", " , "])
def test_the_delimiter_is_found(mark):
    text = PLAIN.replace("a b", "ab").replace(",", mark)
    assert read(text) == {**EXPECTED, "left": ["ab", "d"]}


def test_a_decimal_comma_is_a_number_only_where_the_whole_column_is():
    columns = read("left;right;same;score;note\na;b;1;0,5;1,5\nc;d;0;-2;x,1\ne;f;0;NA;2,5\n")
    assert columns["score"] == ["0.5", "-2", "NA"]
    assert columns["note"] == ["1,5", "x,1", "2,5"]


def test_a_quoted_decimal_comma_between_commas_is_a_number_and_a_thousand_is_left_alone():
    columns = read('left,right,same,score,count\na,b,1,"0,5","1,234"\nc,d,0,"0,25","5,000"\n')
    assert columns["score"] == ["0.5", "0.25"]
    assert columns["count"] == ["1,234", "5,000"]


def test_names_with_blanks_and_single_letters_do_not_hide_the_tab():
    sheet = read_sheet(b"Ann A\t1\t2\nAnn A\t1\tBob B\t1\n", "t", roles.KNOWN)
    assert sheet.rows == [["Ann A", "1", "2"], ["Ann A", "1", "Bob B", "1"]]


def test_comments_a_separator_line_and_blank_lines_are_no_rows():
    text = "# made by hand\n\nsep=;\n# more\nleft;right;same;score\n# between\na b;c;1;0.5\n\nd;e;0;-0.25\n"
    sheet = read_sheet(text.encode(), "t", roles.KNOWN)
    assert sheet_columns(sheet) == EXPECTED
    assert sheet.numbers == [5, 7, 9]
    assert sheet.remarks == ["made by hand", "more"]


@pytest.mark.parametrize(
    "text",
    [
        ",left,right,same,score\n0,a b,c,1,0.5\n1,d,e,0,-0.25\n",
        "Unnamed: 0,left,right,same,score\n0,a b,c,1,0.5\n7,d,e,0,-0.25\n",
        "index,left,right,same,score\n0,a b,c,1,0.5\n1,d,e,0,-0.25\n",
        "left,right,same,score\n1,a b,c,1,0.5\n2,d,e,0,-0.25\n",
        "left,right,same,score,\na b,c,1,0.5,\nd,e,0,-0.25,\n",
        "left,right,same,score\na b,c,1,0.5,\nd,e,0,-0.25,\n",
    ],
)
def test_columns_that_only_number_rows_or_are_empty_are_dropped(text):
    assert read(text) == EXPECTED


def test_a_name_that_begins_like_a_comment_is_a_name():
    assert read("path,subject\n#1.png,a\n# made by hand\nb.png,#2\n")["path"] == ["#1.png", "b.png"]
    assert read("left right same score\n#1 b 1 0.5\n# said by me\n# this is not it\n")["left"] == ["#1"]


def test_a_column_named_index_with_other_values_stays():
    assert read("index,path\nb,x.png\na,y.png\n")["index"] == ["b", "a"]


def test_an_index_without_header_is_dropped_only_where_it_counts():
    counting = read_sheet(b"0,a,b,1\n1,c,d,0\n2,e,f,0\n", "t")
    assert without_index(counting).rows[0] == ["a", "b", "1"]
    other = read_sheet(b"4,a,b,1\n1,c,d,0\n2,e,f,0\n", "t")
    assert without_index(other).rows[0] == ["4", "a", "b", "1"]


@pytest.mark.parametrize("word", ["1", "1.0", "+1", "True", "YES", "Genuine", "match", "mated"])
def test_words_of_same(word):
    assert read_flag(f" {word} ") is True


@pytest.mark.parametrize("word", ["0", "0.0", "-1", "-1.0", "false", "Impostor", "imposter", "different"])
def test_words_of_different(word):
    assert read_flag(word) is False


@pytest.mark.parametrize("word", ["2", "maybe", "", "nan", "0.5"])
def test_other_words_are_no_flag(word):
    assert read_flag(word) is None


def test_numbers_percentages_and_no_value():
    assert [read_number(text) for text in ("0.5", "-1e-3", "63.46%", " 2 ")] == [0.5, -0.001, 0.6346, 2.0]
    assert all(math.isnan(read_number(text)) for text in ("", "NA", "None", "null", "N/A", "nan", "-"))
    for bad in ("x", "1_0", "0x1"):
        with pytest.raises(ValueError, match=r"could not|1_0"):
            read_number(bad)


@pytest.mark.parametrize(
    ("header", "sides"),
    [
        ("left,right,same", ("left", "right")),
        ("p1,p2,label,id1,id2", ("p1", "p2")),
        ("id1,id2,label", ("id1", "id2")),
        ("Image 1,Image_2,y", ("Image 1", "Image_2")),
        ("img_a,img_b,match", ("img_a", "img_b")),
        ("file_x,file_y,same", ("file_x", "file_y")),
        ("left_image,right_image,same", ("left_image", "right_image")),
        ("path,subject", None),
    ],
)
def test_both_sides_of_a_pair_are_found_by_their_names(header, sides):
    assert roles.find_sides(header.split(","), roles.PICTURES) == sides


def test_a_plain_id_names_people_only_where_it_repeats():
    assert roles.find_subject({"path": ["a", "b"], "id": ["1", "1"]}, "t", ("path",)) == "id"
    with pytest.raises(DataError, match="'subject' is missing"):
        roles.find_subject({"path": ["a", "b"], "id": ["1", "2"]}, "t", ("path",))


def test_text_without_mark_is_utf8():
    assert decode_text("é".encode(), "t") == "é"
