"""How `dk.from_pattern` reads a text: words, parser, arguments, and the expansion into layers."""
