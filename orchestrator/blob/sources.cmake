list(APPEND orchestrator_sources blob/collect.c blob/store.c blob/writer.c)
