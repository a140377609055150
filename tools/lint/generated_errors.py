"""docs/reference/errors.md is what errors.def says (the other references need the programs: tools/run-tests checks them)."""

import importlib.machinery
import importlib.util

from law import ROOT

_loader = importlib.machinery.SourceFileLoader("generate_docs", str(ROOT / "tools/generate-docs"))
_generate = importlib.util.module_from_spec(importlib.util.spec_from_loader("generate_docs", _loader))
_loader.exec_module(_generate)
PAGE = "docs/reference/errors.md"


def check(files):
    if files.get(PAGE) != _generate.errors().rstrip() + "\n":
        yield PAGE, 1, "not up to date: make docs"


EXAMPLES = [
    ({PAGE: _generate.errors().rstrip() + "\n"}, 0),
    ({PAGE: "# Errors\n"}, 1),
    ({}, 1),
]
