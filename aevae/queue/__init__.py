"""The job queue: one SQLite file per store, one worker process per lane, and the tasks that workers run."""
