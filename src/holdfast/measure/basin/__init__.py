"""How far a model can be moved before an ability breaks: from models and suites to the statistics of basins."""
