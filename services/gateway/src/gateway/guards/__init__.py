"""What may cost money, and when: pure decisions."""
