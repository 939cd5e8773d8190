list(APPEND KERNELS_SOURCES optim/schedule.c optim/optimizer.c optim/loss.c optim/metrics.c optim/random.c)
# The loops over all weights are written for the vectoriser, which -O2 keeps at its most cautious.
set_source_files_properties(optim/loss.c optim/optimizer.c optim/random.c PROPERTIES COMPILE_OPTIONS
                            "$<$<NOT:$<CONFIG:Debug>>:-O3;-fno-math-errno>")
