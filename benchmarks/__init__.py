"""Measurements behind the README's figures; none is a test."""
