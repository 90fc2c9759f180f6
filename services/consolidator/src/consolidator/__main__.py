"""``python -m consolidator``."""

from consolidator.main import main

main()
