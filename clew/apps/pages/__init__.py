"""Results as self-contained web pages that open offline."""
