"""What several analyses use: attributes and groups, counted figures, words, reconstructions. It knows no analysis."""
