"""Template protection schemes: small, exact, one file each; a package of yours joins by an entry point."""
