"""A set's attributes are found whatever their case, once for all analyses."""

import numpy as np
import pytest

from fraudit.analyses.leakage.targets import IDENTITY_LABELS
from fraudit.analyses.shared.attributes import chosen_attributes, demographic_groups, group_masks
from fraudit.errors import UsageError
from fraudit.faces.attributes import DEMOGRAPHIC, require_attributes, usual_attributes
from fraudit.types import FaceSet
from tests.fixtures.boxes import face_set


def faces(**attributes: np.ndarray) -> FaceSet:
    n = len(next(iter(attributes.values())))
    images = np.zeros((n, 8, 8, 3), np.uint8)
    return face_set(images, np.arange(n), attributes=attributes)


def test_usual_attributes_keep_the_set_s_spelling_and_the_list_s_order() -> None:
    assert usual_attributes(["Young", "Hat", "Male", "RACE"], 2) == ("RACE", "Male")
    assert usual_attributes(["Smiling", "male"], 2, ("smiling",)) == ("Smiling",)
    assert usual_attributes(["hat"], 3) == ()


def test_what_is_asked_for_goes_before_what_is_usual() -> None:
    there = faces(Male=np.array([0, 1]), hat=np.array([1, 0]))
    assert chosen_attributes(there, ("hat",)) == ("hat",)
    assert chosen_attributes(there, ()) == ("Male",)
    with pytest.raises(UsageError, match="has no attribute 'male'"):
        require_attributes(there, ("male",))


def test_groups_and_their_intersection() -> None:
    there = faces(race=np.array(["a", "b", "", "a"]), Male=np.array([0, 1, 1, 1]))
    assert demographic_groups(there)["Male"].tolist() == ["not male", "male", "male", "male"]
    both = demographic_groups(there, intersections=True)
    assert list(both) == ["race", "Male", "race x Male"]
    assert both["race x Male"][2] == ""
    assert list(demographic_groups(there)) == ["race", "Male"]


def test_masks_are_of_few_values_only() -> None:
    assert group_masks(np.linspace(0, 1, 30)) == {}
    assert group_masks(np.array(["a", "a"])) == {}
    assert group_masks(np.array([0.0, 1.0, np.nan]))["1"].tolist() == [False, True, False]


def test_every_demographic_attribute_counts_as_arguably_identity() -> None:
    assert set(DEMOGRAPHIC) <= set(IDENTITY_LABELS)
