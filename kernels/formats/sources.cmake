list(APPEND KERNELS_SOURCES formats/safetensors.c formats/safetensors_read.c)
