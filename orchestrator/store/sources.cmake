list(APPEND orchestrator_sources
  store/db.c store/db_conn.c store/migrate.c)
