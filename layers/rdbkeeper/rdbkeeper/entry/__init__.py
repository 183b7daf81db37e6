"""The edge: settings, requests, answers, and the one place where adapters are built."""
