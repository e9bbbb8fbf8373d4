"""What an edit did, and what it cost."""
