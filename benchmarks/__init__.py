"""Measurements behind the figures in docs; none is a test."""
