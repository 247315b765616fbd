"""OFIQ's table is read as it is written, and its rows find the pictures of a set."""

from __future__ import annotations

import numpy as np
import pytest

from fraudit.errors import DataError
from fraudit.faces.ofiq import match_ofiq, read_ofiq

# The layout of OFIQSampleApp: a semicolon at the end of the header, none at the end of the rows.
TABLE = (
    "Filename;UnifiedQualityScore;Sharpness;UnifiedQualityScore.scalar;Sharpness.scalar;assessment_time_in_ms;\n"
    "../copy/ann/1.png;24.556244;44;65;99;812\n"
    "../copy/ann/2.png;0;48;-1;97;790\n"
    "../copy/bob/1.png;15.5;0;6;-1;801\n"
)
IDS = ("set/ann/1.png", "set/ann/2.png", "set/bob/1.png", "set/bob/2.png")


def test_measures_are_numbers_and_a_failure_is_unknown_in_both_scales() -> None:
    table = read_ofiq(TABLE.encode(), "q.csv")
    assert table.files == ("../copy/ann/1.png", "../copy/ann/2.png", "../copy/bob/1.png")
    assert list(table.columns) == [
        "UnifiedQualityScore",
        "Sharpness",
        "UnifiedQualityScore.scalar",
        "Sharpness.scalar",
    ]
    assert np.array_equal(table.columns["UnifiedQualityScore.scalar"], [65, np.nan, 6], equal_nan=True)
    assert np.array_equal(table.columns["UnifiedQualityScore"], [24.556244, np.nan, 15.5], equal_nan=True)
    assert np.array_equal(table.columns["Sharpness"], [44, 48, np.nan], equal_nan=True)
    assert table.failed == {
        "UnifiedQualityScore": 1,
        "UnifiedQualityScore.scalar": 1,
        "Sharpness": 1,
        "Sharpness.scalar": 1,
    }


def test_a_native_minus_one_is_a_measure_and_no_failure() -> None:
    table = read_ofiq(b"Filename;HeadPoseYaw;HeadPoseYaw.scalar;\na.png;-1;100\n", "q.csv")
    assert table.columns["HeadPoseYaw"][0] == -1
    later = read_ofiq(b"Filename;HeadPoseYaw.native;HeadPoseYaw.scalar;\na.png;3;-1\n", "q.csv")
    assert np.isnan(later.columns["HeadPoseYaw.native"][0])


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.replace(";", ","),
        lambda t: t.replace(";", "\t"),
        lambda t: t.replace("\n", ";\n").replace(";;", ";"),  # a semicolon ends every line
        lambda t: t.replace("\n", "\r\n"),
        lambda t: "\ufeff" + t,
        lambda t: t.replace("ms;\n", "ms\n"),
    ],
)
def test_other_separators_and_ends_of_lines_give_the_same_numbers(change) -> None:
    plain, other = read_ofiq(TABLE.encode(), "q.csv"), read_ofiq(change(TABLE).encode(), "q.csv")
    assert other.files == plain.files
    assert all(np.array_equal(other.columns[n], v, equal_nan=True) for n, v in plain.columns.items())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "an empty file"),
        ("path;score\na;1\n", "first column is 'Filename', found 'path', 'score'"),
        ("Filename|UnifiedQualityScore.scalar\n", "names no picture"),
        ("Filename;Sharpness.scalar;\na.png;high\n", "line 2: 'Sharpness.scalar' is 'high'"),
        ("Filename;Sharpness.scalar;\na.png;inf\n", "line 2: 'Sharpness.scalar' is 'inf'"),
        ("Filename;Sharpness.scalar;\na.png;1;2;3\n", "line 2: expected 2 fields, found 4"),
        ("Filename;Sharpness.scalar;\na.png;1\na.png;2\n", "'a.png' has two rows"),
        ("Filename;Sharpness.scalar;Sharpness.scalar;\na.png;1;2\n", "appears twice"),
        ("Filename;Sharpness.scalar;\n;1\n", "line 2: no file name"),
    ],
)
def test_what_is_not_ofiqs_table_is_refused_in_one_line(text: str, says: str) -> None:
    with pytest.raises(DataError) as raised:
        read_ofiq(text.encode(), "q.csv")
    assert says in raised.value.message
    assert "\n" not in raised.value.message


def test_rows_find_pictures_by_the_end_of_their_path() -> None:
    found = match_ofiq(read_ofiq(TABLE.encode(), "q.csv"), IDS, "q.csv")
    assert found.row.tolist() == [0, 1, 2, -1]
    assert (found.without, found.unmatched) == (1, 0)
    assert np.array_equal(
        found.columns["UnifiedQualityScore.scalar"], [65, np.nan, 6, np.nan], equal_nan=True
    )


def test_windows_paths_and_bare_names_match_and_other_pictures_are_counted() -> None:
    table = read_ofiq(b"Filename;S.scalar;\nC:\\x\\ann\\1.png;5\n2.jpg;7\nnobody.png;9\n", "q.csv")
    found = match_ofiq(table, ("ann/1.png", "2.jpg"), "q.csv")
    assert found.columns["S.scalar"].tolist() == [5, 7]
    assert (found.without, found.unmatched) == (0, 1)


def test_names_that_fit_several_pictures_none_or_one_twice_are_refused() -> None:
    bare = read_ofiq(b"Filename;S.scalar;\n1.png;5\n", "q.csv")
    with pytest.raises(DataError, match=r"'1.png' may be any of 2 pictures"):
        match_ofiq(bare, IDS, "q.csv")
    with pytest.raises(DataError, match="none of its 1 rows names a picture"):
        match_ofiq(bare, ("a.jpg",), "q.csv")
    two = read_ofiq(b"Filename;S.scalar;\nx/1.png;5\ny/1.png;6\n", "q.csv")
    with pytest.raises(DataError, match="both name the picture"):
        match_ofiq(two, ("set/1.png",), "q.csv")
