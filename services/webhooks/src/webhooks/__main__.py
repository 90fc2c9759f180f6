"""`python -m webhooks` runs the letter box."""

from webhooks.main import main

main()
