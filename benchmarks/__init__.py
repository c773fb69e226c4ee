"""gatewise beside its peers: what is timed is right first, runs alone, and takes turns. See README.md here."""
