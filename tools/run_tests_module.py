"""tools/run-tests as a module: what it knows of trees, suites, engines and reports, for the tools that run tests in their own way."""

import importlib.machinery
import importlib.util
import sys
from pathlib import Path

sys.dont_write_bytecode = True
_loader = importlib.machinery.SourceFileLoader("run_tests", str(Path(__file__).resolve().parent / "run-tests"))
tests = importlib.util.module_from_spec(importlib.util.spec_from_loader("run_tests", _loader))
sys.modules["run_tests"] = tests
_loader.exec_module(tests)
