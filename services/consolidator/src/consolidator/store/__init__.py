"""Reading books from the schema ``portfolio`` and writing back what changed, in few, wide statements."""
