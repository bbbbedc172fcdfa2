"""The judge behind HTTP: `the server, and the client that stages use instead of pools of their own."""
