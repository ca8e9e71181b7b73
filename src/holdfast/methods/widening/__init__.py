"""Training that ends in wider basins: gradients taken elsewhere, and averages of weights."""
