list(APPEND orchestrator_sources stream/stream.c stream/topic.c)
