"""What users and admins decide: kept, told as a fact, and waited for until it shows."""
