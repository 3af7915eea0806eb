"""Data-parallel training: one run on several processes, the ranks, joined by MPI."""
