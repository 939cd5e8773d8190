/* A run's model as model.onnx, beside its weights. */
#include "kernels/train/run.h"

#include <stdlib.h>
#include "base/file.h"
#include "kernels/formats/onnx_export.h"

int run_write_onnx(struct run *r, const struct tensor_entry *weights, size_t count, struct err *err)
{
    const struct dataset_info *d = &r->data->info;
    struct onnx_export x = {
        .graph = r->graph, .weights = weights, .weight_count = count, .producer_version = TRAINYARD_VERSION};
    struct buf file = {0};
    struct err why = {0};
    if (d->column_mean && d->column_std) {
        x.column_mean = d->column_mean;
        x.column_std = d->column_std;
        x.column_count = (int)shape_elements(&d->feature_shape);
    }
    char *path = path_join(r->options->out, "model.onnx");
    int rc = onnx_export_write(&x, &file, &why);
    if (!rc)
        rc = file_write_atomic(path, file.data, file.len, 0644, err);
    else if (why.code == ERR_UNPROCESSABLE) { /* no error of the run: the report says why there is none */
        report_no_onnx(r->report, why.text);
        rc = 0;
    } else {
        rc = err_set(err, why.code, "%s", why.text);
    }
    free(path);
    buf_free(&file);
    return rc;
}
