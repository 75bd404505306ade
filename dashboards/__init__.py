"""What a reader sees of a sweep."""
