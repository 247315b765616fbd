"""Analysis plugins, one file each; found through the entry points `fraudit.analyses`."""
