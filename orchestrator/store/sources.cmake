list(APPEND orchestrator_sources
  store/db.c store/db_conn.c store/migrate.c
  store/asset.c store/job.c store/record.c store/node.c store/blob_row.c store/task.c store/topic.c store/upload.c store/user.c store/verification.c)
