"""Reading a broker's or a person's CSV file: what it says, row by row, and what is wrong with it. Pure."""
