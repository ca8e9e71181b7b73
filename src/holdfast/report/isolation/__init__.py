"""The section of a page on methods that hold scalars still: what they chose, and whether the choice drifted."""
