"""CodeBuild's builds: what the service says about one, and what that means when the build says nothing itself.

``description.py`` parses a build, ``causes.py`` explains why one failed, and ``reader.py`` finds and stops one.
"""
