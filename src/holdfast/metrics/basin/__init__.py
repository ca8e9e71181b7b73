"""How far a model can be moved before it breaks: bounds that are theorems, and verdicts with a stated error."""
