"""What is to come and what goes on: the plan of a start, what a change makes stale, its state."""
