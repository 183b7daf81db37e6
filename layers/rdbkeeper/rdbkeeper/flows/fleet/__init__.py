"""Makes functions, schedules and alarms equal the rules, and lets what is blocked go on."""
