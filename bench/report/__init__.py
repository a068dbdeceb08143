"""Who reads it, and how? Terminal, pull request, dashboards, pages, history and sweeps."""
