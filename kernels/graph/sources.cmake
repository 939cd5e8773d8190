list(APPEND KERNELS_SOURCES graph/graph.c graph/order.c graph/graph_json.c)
