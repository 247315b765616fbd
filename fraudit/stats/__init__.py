"""Statistics on plain arrays: numpy and scipy in, frozen values out; nothing here reads a file or draws."""
