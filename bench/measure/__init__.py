"""What `make bench` measures, one module per area; each function gives rows (see common.Row)."""
