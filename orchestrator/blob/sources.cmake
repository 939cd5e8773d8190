list(APPEND orchestrator_sources blob/store.c blob/writer.c)
