"""From numbers to files, whole or not at all, and what files know of themselves."""
