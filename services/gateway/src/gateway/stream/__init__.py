"""What users watch: events kept for a day, and the open streams that show them."""
