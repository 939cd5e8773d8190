list(APPEND KERNELS_SOURCES verify/layers.c)
list(APPEND KERNELS_JSON_SOURCES verify/verify.c verify/checks.c verify/verify_model.c verify/verify_layer.c verify/verify_kernel.c verify/verify_algorithm.c
     verify/verify_dataset.c verify/verify_fit.c)
