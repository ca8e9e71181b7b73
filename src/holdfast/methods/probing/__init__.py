"""What a task needs of a model, found by trying it out: warm-start probes, scores, choices, plans."""
