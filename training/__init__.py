"""Teacher, pseudo-labels, student: one loop, in-process, under torchrun or on Ray Train workers."""
