"""Which column of a table means what, whatever its publisher called it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fraudit.errors import DataError
from fraudit.faces.tables import Columns, plain_name

_SIDES = (("1", "2"), ("a", "b"), ("left", "right"), ("l", "r"), ("0", "1"), ("x", "y"), ("first", "second"))


def _sided(stems: Iterable[str]) -> tuple[tuple[str, str], ...]:
    found = []
    for stem in stems:
        for one, other in _SIDES:
            found.append((stem + one, stem + other))
            if len(one) > 1:
                found.append((one + stem, other + stem))
    return tuple(found)


# Names of both sides of a pair, the surest first: `id1` names a picture only where nothing better does.
PICTURES = (
    ("left", "right"),
    *_sided((
        "path", "file", "filename", "filepath", "image", "img", "imagepath", "imgpath", "imagename", "imgname",
        "picture", "photo", "pic", "face", "sample", "template", "probe", "im", "p", "f",
    )),
    ("first", "second"), ("a", "b"), ("probe", "gallery"), ("probe", "reference"), ("query", "gallery"),
    ("query", "reference"), ("enroll", "verify"), ("reference", "probe"),
    *_sided(("id", "key", "name")),
)  # fmt: skip
PEOPLE = _sided((
    "subject", "subjectid", "person", "personid", "identity", "identityid", "individual", "id", "name", "class", "s",
))  # fmt: skip
SAME = (
    "same", "issame", "actualissame", "sameperson", "sameidentity", "match", "ismatch", "matched", "genuine",
    "isgenuine", "mated", "ismated", "label", "labels", "target", "ytrue", "groundtruth", "gt", "y", "truth", "class",
    "pairtype", "type",
)  # fmt: skip
SCORE = (
    "score", "scores", "similarity", "similarityscore", "sim", "cosine", "cosinesimilarity", "cossim", "cosinescore",
    "matchscore", "comparisonscore", "confidence", "yscore", "probability", "prob",
)  # fmt: skip
DISTANCE = (
    "distance", "distances", "dist", "l2", "l2distance", "euclidean", "euclideandistance", "euclideanl2",
    "cosinedistance", "cosdist", "dissimilarity", "cosinedist", "l2dist",
)  # fmt: skip
FOLD = ("fold", "folds", "foldid", "foldnumber")
ATTACK = ("probeattacktype", "attacktype", "attack", "probeattack", "pai", "paispecies", "attackinstrument")
PATH = (
    "path", "file", "filename", "filepath", "image", "img", "imagepath", "imgpath", "imagefile", "imagename", "imgname",
    "imageid", "picture", "photo", "imagefilename", "relativepath",
)  # fmt: skip
SUBJECT = ("subject", "subjectid", "person", "personid", "identity", "identityid", "individual", "pid")
TEMPLATE = ("template", "templateid", "tid")
MEDIUM = ("medium", "media", "mediumid", "mediaid", "mid", "sightingid")
# Words that may as well mean something else: they name people only where some value comes twice.
WEAK_SUBJECT = ("id", "classid", "class", "label", "name", "target")

# Names that tell a header from data; single letters may as well be data.
KNOWN = frozenset(
    {name for pair in (*PICTURES, *PEOPLE) for name in pair if len(name) > 1}
    | {*SAME, *SCORE, *DISTANCE, *FOLD, *ATTACK, *PATH, *SUBJECT, *WEAK_SUBJECT, "template", "templateid"}
    | {"probesubjectid", "biorefsubjectid"}
)


def find(header: Iterable[str], names: Sequence[str], taken: Iterable[str] = ()) -> str | None:
    """The column of `header` that the first fitting one of `names` means, without those that are taken."""
    used = set(taken)
    places: dict[str, str] = {}
    for column in header:
        if column not in used:
            places.setdefault(plain_name(column), column)
    return next((places[name] for name in names if name in places), None)


def find_sides(
    header: Iterable[str], names: Sequence[tuple[str, str]], taken: Iterable[str] = ()
) -> tuple[str, str] | None:
    """Both columns of the first fitting pair of names, or None."""
    columns = list(header)
    for left, right in names:
        one, other = find(columns, (left,), taken), find(columns, (right,), taken)
        if one and other:
            return one, other
    return None


def find_path(columns: Columns, where: str) -> str:
    """The column of paths. Raises DataError that names it and what is there."""
    found = find(columns, PATH)
    if found is None:
        raise DataError(
            f"{where}: the column 'path' is missing, found {', '.join(columns)}",
            "add a column named 'path' to the header",
        )
    return found


def find_subject(columns: Columns, where: str, taken: Sequence[str]) -> str:
    """The column of people. Raises DataError that names it and what is there."""
    found = find(columns, SUBJECT, taken)
    if found is not None:
        return found
    for name in WEAK_SUBJECT:
        weak = find(columns, (name,), taken)
        if weak is not None and len(set(columns[weak])) < len(columns[weak]):
            return weak
    raise DataError(
        f"{where}: the column 'subject' is missing, found {', '.join(columns)}",
        "add a column named 'subject' to the header, empty where nobody is identified",
    )
