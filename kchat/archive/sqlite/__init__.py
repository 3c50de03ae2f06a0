"""Archives in an SQLite file: :class:`kchat.archive.sqlite.store.SqliteStore`."""
