"""From a name or a card to a black box that answers vectors."""
