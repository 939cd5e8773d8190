list(APPEND KERNELS_SOURCES formats/safetensors.c formats/safetensors_read.c formats/protobuf.c formats/onnx_write.c formats/onnx_export.c formats/names.c formats/translation.c formats/onnx_read.c formats/onnx_fold.c formats/onnx_import.c formats/onnx_import_layers.c)
list(APPEND KERNELS_JSON_SOURCES formats/import.c)
