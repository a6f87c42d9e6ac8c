"""The `marketml` command: one module per group of commands, `rooms` for the processes, `output` for what
is printed."""
