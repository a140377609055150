"""The harness itself: what it compares, and that it notices."""

import pytest
from harness.stories import mismatch


@pytest.mark.api
@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}, {"b": 1, "c": 3}], "x": 1}),
        ([], []),
        ("<2 items>", [1, 2]),
        ("<at least 1 items>", [1, 2]),
        ("<absent>", None),
        ({"a": "<absent>"}, {}),
        ("~^v[0-9]+$", "v12"),
        ("<uuid>", "01937b5e-0000-7000-8000-000000000000"),
        ("<time>", "2026-01-02T03:04:05.678Z"),
    ],
)
def test_contained(expected, actual):
    assert mismatch(expected, actual) is None


@pytest.mark.api
@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ({"a": [{"b": 3}]}, {"a": [{"b": 2}]}),
        ([], [1]),
        (1, True),
        ("<2 items>", [1]),
        ("<absent>", ""),
        ("<any>", None),
        ({"a": 1}, {}),
        ("~^v[0-9]+$", "12"),
        ("<uuid>", "01937b5e-0000-4000-8000-000000000000"),
        ("<time>", "2026-01-02 03:04:05"),
    ],
)
def test_not_contained(expected, actual):
    assert mismatch(expected, actual) is not None
