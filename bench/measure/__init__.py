"""What `make bench` measures, one module per area; each function gives rows (see common.Row). The programs are those of build/,
driven by the harness of the black-box tests."""

import os
import sys
from pathlib import Path

os.environ.setdefault("ENCLII_TEST_BUILD", "build")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests/blackbox"))
