"""From what a comparison measured to what people read; no model and no torch is needed."""
