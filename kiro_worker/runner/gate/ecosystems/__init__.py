"""What a repository's files say about how to install its dependencies and run its tests, one module per ecosystem."""
