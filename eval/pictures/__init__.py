"""What a model looks at: maps of evidence, their share of bone, lung and the rest, and their check.

`gradcam` and `attention` take arrays; `explain` takes a run and needs its weights and pixels.
"""
