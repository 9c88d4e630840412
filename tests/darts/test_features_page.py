"""The page that lists what works names tests that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how_to" / "darts_features.md"
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if line.startswith("|") and not line.startswith(("|---", "| feature"))
]


@pytest.fixture(scope="module")
def tests():
    """Names of all test functions for Darts."""
    files = [*ROOT.glob("tests/darts/test_*.py"), *ROOT.glob("tests/conformance/test_*.py")]
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files]
    return {node.name for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_row_says_yes_or_no():
    assert len(ROWS) > 40
    for feature, answer, _ in ROWS:
        assert re.match(r"(yes|no)\b", answer), feature


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_tests_of_a_feature_exist(row, tests):
    _, answer, evidence = row
    named = re.findall(r"`(test_\w+)`", evidence)
    assert named or answer.startswith("no")
    assert set(named) <= tests
