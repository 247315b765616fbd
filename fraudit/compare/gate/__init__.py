"""Is the new model fit to replace the old one."""
