"""Benchmarks, whose results are shown in docs. None of them is a test."""
