"""The real programs, started, spoken to and ended by tests."""
