"""A synthetic world with a known truth: radiographs, DXA, clinical tables, a public set."""
