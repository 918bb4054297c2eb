"""`lmx rag`: one file per subcommand; all of them ask a running server."""
