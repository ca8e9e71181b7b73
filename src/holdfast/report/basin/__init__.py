"""What people see of a measurement of basins: the page, the figures, the short version, the words on a terminal."""
