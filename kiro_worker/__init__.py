"""The Kiro CodeBuild Worker."""
