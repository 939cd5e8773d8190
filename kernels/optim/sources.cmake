set(optim_loops optim/loss.c optim/metrics.c optim/optimizer.c optim/optimizer_loops.c optim/newton_schulz.c optim/weight_average.c
    optim/random.c)
list(APPEND KERNELS_SOURCES optim/schedule.c optim/auc.c ${optim_loops})
# The loops over all weights are written for the vectoriser, which -O2 keeps at its most cautious.
set_source_files_properties(${optim_loops} PROPERTIES COMPILE_OPTIONS "$<$<NOT:$<CONFIG:Debug>>:-O3;-fno-math-errno>")
