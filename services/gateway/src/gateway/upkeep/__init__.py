"""What has to be looked after though nobody asks: sessions that ran out, charges without a word, retention."""
