"""What the API takes and answers. Answers are made as text by PostgreSQL; these models document and test them."""
