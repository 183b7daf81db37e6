"""What people do with rules: register, show, edit, start, delete."""
