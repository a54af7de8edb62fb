"""The report of a run, for each host: collected from the tasks' results, written as JSON, Markdown and HTML."""
