"""The page, the figures and the words of a diagnosis; no model and no torch is needed."""
