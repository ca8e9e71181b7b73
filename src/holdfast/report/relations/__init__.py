"""The page, the figure and the words on whether geometry foretells forgetting; no model and no torch is needed."""
