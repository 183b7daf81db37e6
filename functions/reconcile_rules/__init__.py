"""Makes the fleet equal the rules."""
