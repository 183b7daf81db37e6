"""Who may do what on the local cloud: every call of a role is evaluated against its policies, and recorded."""
