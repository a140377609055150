"""The harness itself: what it compares, and that it notices."""

import importlib.machinery
import importlib.util
import sys

import pytest
from harness.process import ROOT
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


@pytest.fixture(scope="module")
def run_tests():
    """tools/run-tests as a module."""
    loader = importlib.machinery.SourceFileLoader("run_tests", str(ROOT / "tools/run-tests"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("run_tests", loader))
    sys.modules["run_tests"] = module
    loader.exec_module(module)
    return module


@pytest.mark.api
@pytest.mark.parametrize(
    ("tap", "ended_well", "passed", "failed", "skipped"),
    [
        ("ok 1 /a\nok 2 /b\n1..2\n", True, 2, 0, 0),
        ("1..2\nok 1 /a\nok 2 /b # SKIP no engine\n", True, 1, 0, 1),
        ("ok 1 /a\nnot ok 2 /b\n1..2\n", False, 1, 1, 0),
        ("ok 1 /a\n", False, 1, 1, 0),  # crashed after the first
        ("ok 1 /a\n1..1\n", False, 1, 1, 0),  # a leak: found at exit
        ("ok 1 /a\n1..2\n", True, 1, 1, 0),  # one is missing
        ("ok 1 /a\n", True, 1, 1, 0),  # no plan
        ("1..0\n", True, 0, 1, 0),  # nothing in it
        ("1..0 # SKIP no HAProxy\n", True, 0, 0, 1),
        ("", False, 0, 1, 0),
    ],
)
def test_runner_counts_what_went_wrong(run_tests, tap, ended_well, passed, failed, skipped):
    outcome = run_tests.read_tap("t", tap, ended_well, "why")
    assert (outcome.passed, len(outcome.failed), len(outcome.skipped)) == (passed, failed, skipped)
