"""How Onefolio messages travel: the bus, its topology, retry, parking."""
