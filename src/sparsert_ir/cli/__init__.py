"""The command `sparsert`: one file per subcommand."""
