"""What a DXA measurement means: policies, named and versioned."""
