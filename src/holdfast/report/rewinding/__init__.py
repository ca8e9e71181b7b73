"""What people see of a rewinding: the page, the figure, the section of the model card, the words on a terminal."""
