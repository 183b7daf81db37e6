"""The words of rdbkeeper as types, and its decisions as pure functions. No input, no output, no clock."""
