list(APPEND KERNELS_SOURCES spec/layer_type.c spec/model.c spec/params.c spec/algorithm.c spec/algorithm_rows.c spec/expr.c spec/schema.c)
list(APPEND KERNELS_JSON_SOURCES spec/parse.c spec/params_json.c spec/layer_file_json.c spec/scope_json.c spec/expand_json.c spec/model_json.c spec/algorithm_json.c)
