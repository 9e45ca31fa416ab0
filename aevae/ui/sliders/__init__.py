"""The page Sliders."""
