"""Curves of models from a base to a fine-tuned one, a file for each family."""
