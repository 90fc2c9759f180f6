"""The file of weights: read exactly, refused with the place and the reason."""

from decimal import Decimal
from importlib.resources import files

import pytest

from consolidator.domain.weights import WeightsError, at, read_weights
from consolidator.rules import DEFAULT_WEIGHTS

TEXT = files("consolidator").joinpath("identity.toml").read_text(encoding="utf-8")


def test_numbers_are_taken_exactly_as_they_are_written() -> None:
    assert DEFAULT_WEIGHTS.institution == Decimal("0.25")
    assert str(read_weights(TEXT.replace("institution = 0.25", "institution = 0.10")).institution) == "0.10"
    assert read_weights(TEXT.replace("institution = 0.25", 'institution = "0.3"')).institution == Decimal(
        "0.3"
    )
    assert read_weights(TEXT.replace("institution = 0.25", "institution = 1")).institution == 1


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        ("institution = 0.25", "institution = 0.25\nluck = 1", "luck"),
        ("differs = -0.60", "differs = -0.60\nluck = 1", "mask"),
        ("institution = 0.25\n", "", "institution"),
        ("institution = 0.25", "institution = 'much'", "institution"),
        ("institution = 0.25", "institution = nan", "institution must be finite"),
        ("differs = -0.60", "differs = inf", "mask.differs must be finite"),
        ("same = 0.75", "same = 0.20", "verdict.different must be below verdict.same"),
        ("age = [[24, 1], [48, 0.3]]", "age = []", "age must be points"),
        ("age = [[24, 1], [48, 0.3]]", "age = [[24, 1], [24, 0.3]]", "age must be points"),
        ("age = [[24, 1], [48, 0.3]]", "age = [[24, nan], [48, 0.3]]", "age must be finite"),
        ("shared = [[0, -0.25]", "shared = [[2, -0.25]", "activity.shared must be points"),
        ("enough = 3", "enough = 0", "activity.enough"),
        ("enough = 3", "enough = 3.5", "activity.enough"),
        ("[verdict]", "[verdict", "not TOML"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(was: str, becomes: str, said: str) -> None:
    assert was in TEXT
    with pytest.raises(WeightsError, match=said.replace(".", r"\.")):
        read_weights(TEXT.replace(was, becomes, 1))


def test_a_curve_is_linear_between_its_points_and_level_outside() -> None:
    curve = ((Decimal(0), Decimal(-1)), (Decimal(2), Decimal(1)), (Decimal(4), Decimal(1)))
    assert [at(curve, Decimal(x)) for x in (-5, 0, 1, 2, 3, 9)] == [-1, -1, 0, 1, 1, 1]
    assert at(((Decimal(3), Decimal(7)),), Decimal(0)) == 7
