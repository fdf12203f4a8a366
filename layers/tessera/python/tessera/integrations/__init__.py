"""Other systems that hear of what happens here."""
