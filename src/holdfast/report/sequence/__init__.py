"""From the evidence of trainings in sequence to the page, the figures, the tables and the records."""
