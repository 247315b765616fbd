"""Black boxes that answer scores alone."""
