"""The routes: thin, each says what it takes and answers."""
