list(APPEND KERNELS_SOURCES formats/safetensors.c formats/safetensors_read.c formats/protobuf.c formats/onnx_write.c formats/onnx_export.c)
