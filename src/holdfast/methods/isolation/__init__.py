"""What all methods share that hold some scalars where they are: who is held, when that is decided, and how."""
